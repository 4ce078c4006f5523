# AWS Signature Version 4: the value of the header Authorization.
#
# The input is an object of the headers that are signed, beside Host. $request is
# {method, url, query, body}, with $url, $query and $body of the program `headers`.
# $with is {time, region, service, key_id, secret}, the time as in 20060102T150405Z.
def aws4($request; $with):
	($request.url | capture("^https?://(?<host>[^/?]+)(?<path>[^?]*)")) as $to
	| (with_entries(.key |= ascii_downcase) + {host: $to.host}) as $headers
	| ($headers | keys | join(";")) as $signed
	| "\($with.time[:8])/\($with.region)/\($with.service)/aws4_request" as $scope
	| [
		$request.method,
		($to.path | split("/") | map(@uri) | join("/")), # the path is encoded twice, save for S3
		($request.query | split("&") | map(split("=")) | sort | map(join("=")) | join("&")),
		($headers | keys[] | "\(.):\($headers[.])"),
		"",
		$signed,
		($request.body | sha256)
	]
	| ["AWS4-HMAC-SHA256", $with.time, $scope, (join("\n") | sha256)]
	| join("\n") as $text
	| reduce ($with.region, $with.service, "aws4_request", $text) as $part (
		$with.time[:8] | hmac("sha256"; "AWS4" + $with.secret);
		. as $key | $part | hmac("sha256"; $key; "hex")
	)
	| "AWS4-HMAC-SHA256 Credential=\($with.key_id)/\($scope), SignedHeaders=\($signed), Signature=\(.)";
