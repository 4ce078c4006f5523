# Taobao Open Platform (TOP), sign_method md5: the input is an object of all parameters;
# blank ones are left out, and it gets sign, too.
def top($secret):
	with_entries(select(.value | blank | not))
	| . + {sign: (
		to_entries | sort_by(.key) | map("\(.key)\(.value)") | add
		| $secret + . + $secret
		| md5 | ascii_upcase
	)};
