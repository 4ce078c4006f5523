# Tencent Cloud's TC3-HMAC-SHA256: the value of the header Authorization.
#
# The input is an object of the headers that are signed, beside Host: Content-Type at
# least. $request is {method, url, query, body}, with $url, $query and $body of the
# program `headers`. $with is {time, service, id, key}, the time in seconds.
def tc3($request; $with):
	($request.url | capture("^https?://(?<host>[^/?]+)")) as $to
	| (with_entries(.key |= ascii_downcase) + {host: $to.host}) as $headers
	| ($headers | keys | join(";")) as $signed
	| ($with.time | date("2006-01-02"; "UTC")) as $day
	| "\($day)/\($with.service)/tc3_request" as $scope
	| [
		$request.method,
		"/",
		($request.query | split("&") | map(split("=")) | sort | map(join("=")) | join("&")),
		($headers | keys[] | "\(.):\($headers[.] | ascii_downcase)"),
		"",
		$signed,
		($request.body | sha256)
	]
	| ["TC3-HMAC-SHA256", $with.time, $scope, (join("\n") | sha256)]
	| join("\n") as $text
	| reduce ($with.service, "tc3_request", $text) as $part (
		$day | hmac("sha256"; "TC3" + $with.key);
		. as $key | $part | hmac("sha256"; $key; "hex")
	)
	| "TC3-HMAC-SHA256 Credential=\($with.id)/\($scope), SignedHeaders=\($signed), Signature=\(.)";
