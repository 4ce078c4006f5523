package document

import "testing"

func TestName(t *testing.T) {
	for _, c := range []struct{ body, contentType, want string }{
		{"", "", "an empty body"},
		{"", "application/json", "an empty body"},
		{" \r\n\t", "text/html", "an empty body"},
		{byteOrderMark, "text/html", "an empty body"},
		{"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>", "application/json", "HTML"},
		{"\n\n  <html>\r\n<head><title>502 Bad Gateway</title></head>", "", "HTML"},
		{"<center><h1>nginx</h1></center>", "text/html", "HTML"},
		{"Error <html><body>502</body></html>", "application/json", "HTML"},
		{"<body>Service unavailable</body>", "text/xml", "HTML"},
		{"<message><body>1</body></message>", "text/xml", "XML"},
		{"<soap:Body>1</soap:Body>", "text/xml", "XML"},
		{"<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC \"\"><html xmlns=\"\">", "application/json", "HTML"},
		{byteOrderMark + "<html>", "", "HTML"},
		{"<h1>Not found</h1>", "text/plain", "HTML"},
		{"<?xml version=\"1.0\"?><Response><Code>0</Code></Response>", "text/html", "XML"},
		{"<Response><Code>0</Code></Response>", "application/json", "XML"},
		{"\xFF\xFE<\x00Z\x00>\x00", "application/json", "XML"},
		{"access_token=abc&expires_in=7200", "text/plain", "a form"},
		{"a%5B%5D=1&b=", "", "a form"},
		{"a b=c", "application/x-www-form-urlencoded", "text"},
		{"a=b c", "application/x-www-form-urlencoded", "a form"},
		{"Internal server error", "application/x-www-form-urlencoded", "text"},
		{"{\"a\":1}\n{\"a\":2}\n", "application/json", "JSON Lines"},
		{"{\"a\":1}{\"a\":2}", "", "JSON Lines"},
		{"{\"a\":1};", "", "JSON with something after it"},
		{"{\"a\":1}", "application/x-ndjson", "JSON"},
		{"{\"a\":", "application/json", "broken JSON"},
		{"data: {\"a\":1}\n\n", "application/json", "a stream of events"},
		{"event: x\ndata: 1\n\n", "", "a stream of events"},
		{": keep-alive\n\n", "", "a stream of events"},
		{"hello", "text/event-stream; charset=utf-8", "a stream of events"},
		{"callback({\"a\":1})", "application/javascript", "JSONP"},
		{"var a = 1", "application/javascript", "JavaScript"},
		{"Service Unavailable", "text/plain", "text"},
		{"Service Unavailable", "", "text"},
		{"Service Unavailable", "application/json", "text"},
		{"no healthy upstream", "", "text"},
		{"a,b\n1,2", "text/csv", "CSV"},
		{"\x89PNG\x0D\x0A\x1A\x0A", "application/json", "an image"},
		{"\xFF\xD8\xFFabc", "", "an image"},
		{"\x1F\x8B\x08abc", "application/json", "binary data"},
		{"%PDF-1.7", "", "a PDF"},
		{"\x00\x01\x02\x03", "application/json", "binary data"},
		{"\x00\x01\x02\x03", "application/grpc", "binary data"},
		{"--x\r\nContent-Disposition: form-data", "multipart/form-data; boundary=x", "a multipart body"},
	} {
		if got := Name(c.contentType, []byte(c.body)); got != c.want {
			t.Errorf("%q with Content-Type %q: %q, want %q", c.body, c.contentType, got, c.want)
		}
	}
}
