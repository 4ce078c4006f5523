# Alipay, sign_type RSA2: the input is an object of all parameters; blank ones are left
# out, and it gets sign, too.
def rsa2($private_key):
	with_entries(select(.value | blank | not))
	| . + {sign: (
		to_entries | sort_by(.key) | map("\(.key)=\(.value)") | join("&")
		| sign("RS256"; $private_key; "base64")
	)};
