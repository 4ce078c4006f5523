# Alibaba Cloud's signatures, version 1.0, with HMAC-SHA1.

# RPC style: the input is an object of all parameters; it gets Signature, too.
def aliyun_rpc($method; $secret):
	with_entries(select(.value != null))
	| . + {Signature: (
		to_entries | map([.key, (.value | tostring)] | map(@uri)) | sort | map(join("=")) | join("&")
		| "\($method)&%2F&\(@uri)"
		| hmac("sha1"; $secret + "&"; "text"; "base64")
	)};

# ROA style: the value of the header Authorization. The input is an object of the
# headers Accept, Content-MD5, Content-Type, Date and x-acs-…. $request is {method,
# url, query}, with $url and $query of the program `headers`.
def aliyun_roa($request; $key_id; $secret):
	with_entries(.key |= ascii_downcase) as $headers
	| ($request.url | capture("^https?://[^/?]+(?<path>[^?]*)").path) as $path
	# the pairs are signed as they are before they are encoded
	| ($request.query | split("&") | map(split("=") | map(@urid)) | sort | map(map(select(. != "")) | join("=")) | join("&")) as $query
	| [
		$request.method,
		(("accept", "content-md5", "content-type", "date") as $name | $headers[$name] // ""),
		($headers | keys[] | select(startswith("x-acs-")) | "\(.):\($headers[.])"),
		([$path, $query] | map(select(. != "")) | join("?"))
	]
	| join("\n")
	| "acs \($key_id):\(hmac("sha1"; $secret; "text"; "base64"))";
