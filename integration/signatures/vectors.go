package signatures

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

// A Vector is a request that was published with its signature.
type Vector struct {
	Name         string
	Method, URL  string
	Header       map[string]string // as it is signed
	Body         string
	Signature    string // the last part of Authorization, or a parameter
	Authorized   string // Authorization up to the signature; "" where that is a parameter
	Time, Region string
	Service      string
	Checker      Checker
}

func at(layout, text string) func() time.Time {
	when, err := time.Parse(layout, text)
	if err != nil {
		panic(err)
	}
	return func() time.Time { return when }
}

// The keys of the vectors, as they were published.
const (
	AWSKeyID   = "AKIDEXAMPLE"
	AWSSecret  = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" //nolint:gosec // of an example
	TencentID  = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE"
	TencentKey = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"
)

const awsTime = "20150830T123600Z"

func aws(name, method, url, body, service, signed, signature string, header map[string]string) Vector {
	all := map[string]string{"X-Amz-Date": awsTime}
	maps.Copy(all, header)
	return Vector{
		Name: name, Method: method, URL: url, Body: body, Header: all, Signature: signature, Time: awsTime, Region: "us-east-1", Service: service,
		Authorized: "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/" + service + "/aws4_request, SignedHeaders=" + signed + ", Signature=",
		Checker:    AWS{AWSKeyID, AWSSecret, "us-east-1", service, at("20060102T150405Z", awsTime)},
	}
}

// AWSVectors are from the test suite of Signature Version 4, and the example in "Create a
// signed AWS API request" in the IAM User Guide as it was published first.
var AWSVectors = []Vector{
	aws("get-vanilla", "GET", "http://example.amazonaws.com/", "", "service", "host;x-amz-date",
		"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", nil),
	aws("get-vanilla-query-order-key-case", "GET", "http://example.amazonaws.com/?Param2=value2&Param1=value1", "", "service", "host;x-amz-date",
		"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", nil),
	aws("post-vanilla", "POST", "http://example.amazonaws.com/", "", "service", "host;x-amz-date",
		"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", nil),
	aws("post-x-www-form-urlencoded", "POST", "http://example.amazonaws.com/", "Param1=value1", "service", "content-type;host;x-amz-date",
		"ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}),
	aws("ListUsers", "GET", "http://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", "", "iam", "content-type;host;x-amz-date",
		"5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7", map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}),
}

// TencentVector is the example in "Signature v3" of Tencent Cloud API 3.0.
var TencentVector = Vector{
	Name: "DescribeInstances", Method: "POST", URL: "http://cvm.tencentcloudapi.com/",
	Header: map[string]string{
		"Content-Type": "application/json; charset=utf-8", "X-Tc-Action": "DescribeInstances", "X-Tc-Version": "2017-03-12",
		"X-Tc-Region": "ap-guangzhou", "X-Tc-Timestamp": "1551113065",
	},
	Body:       `{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`,
	Signature:  "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
	Authorized: "TC3-HMAC-SHA256 Credential=" + TencentID + "/2019-02-25/cvm/tc3_request, SignedHeaders=content-type;host, Signature=",
	Time:       "1551113065", Service: "cvm",
	Checker: Tencent{TencentID, TencentKey, "cvm", at(time.RFC3339, "2019-02-25T16:44:25Z")},
}

// AliyunVector is the example in "RPC API signatures" of Alibaba Cloud; its keys are
// testid and testsecret.
var AliyunVector = Vector{
	Name: "DescribeRegions", Method: "GET",
	URL: "http://ecs.aliyuncs.com/?Timestamp=2016-02-23T12%3A46%3A24Z&Format=XML&AccessKeyId=testid&Action=DescribeRegions" +
		"&SignatureMethod=HMAC-SHA1&SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf&Version=2014-05-26&SignatureVersion=1.0" +
		"&Signature=OLeaidS1JvxuMvnyHOwuJ%2BuX5qY%3D",
	Signature: "OLeaidS1JvxuMvnyHOwuJ%2BuX5qY%3D",
	Checker:   Aliyun{KeyID: "testid", Secret: "testsecret", Now: at(time.RFC3339, "2016-02-23T12:46:24Z")},
}

// TaobaoVector is the example in "API calling method" of the open platform; the app's
// secret is helloworld.
var TaobaoVector = Vector{
	Name: "taobao.item.seller.get", Method: "POST", URL: "http://eco.taobao.com/router/rest",
	Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
	Body: "method=taobao.item.seller.get&app_key=12345678&session=test&timestamp=2016-01-01+12%3A00%3A00&format=json&v=2.0&sign_method=md5" +
		"&fields=num_iid%2Ctitle%2Cnick%2Cprice%2Cnum&num_iid=11223344&sign=66987CB115214E59E6EC978214934FB8",
	Signature: "66987CB115214E59E6EC978214934FB8",
	Checker:   Taobao{"12345678", "helloworld", at(time.RFC3339, "2016-01-01T12:00:00+08:00")},
}

// Request is the request with its signature.
func (v Vector) Request() *http.Request {
	r, err := http.NewRequest(v.Method, v.URL, strings.NewReader(v.Body))
	if err != nil {
		panic(err)
	}
	for name, value := range v.Header {
		r.Header.Set(name, value)
	}
	if v.Authorized != "" {
		r.Header.Set("Authorization", v.Authorized+v.Signature)
	}
	return r
}

// Check is the checker's, and wants the very signature that was published.
func (v Vector) Check(r *http.Request, body []byte) error {
	if err := v.Checker.Check(r, body); err != nil {
		return err
	}
	for _, text := range []string{r.Header.Get("Authorization"), r.URL.RawQuery, string(body)} {
		if strings.Contains(text, v.Signature) {
			return nil
		}
	}
	return same("", v.Signature, r.URL.String())
}
