package provider

import (
	"fmt"
	"strings"
)

// customer is somebody whom /open/order/query knows.
type customer struct {
	id, tel, nick string
	vip           string // as it stands in the JSON: "1" quoted, or a bare 1
	level, city   string
	remark        string
	answer        []byte
}

// customers are the demo's. The later ones are there to hurt: values that a
// phone system's language would evaluate, a number where others have a string.
var customers = encoded(
	&customer{id: "C1001", tel: "13800138000", nick: "张三", vip: `"1"`, level: "gold", city: "北京", remark: "prefers the morning"},
	&customer{id: "C1002", tel: "13900139000", nick: "李四", vip: `"2"`, level: "silver", city: "上海", remark: ""},
	&customer{id: "C1003", tel: "13700137000", nick: "Ann O'Neill", vip: `"2"`, level: "basic", city: "Dalian", remark: "two lines\nof text"},
	&customer{id: "C1004", tel: "13600136000", nick: `x" & "1`, vip: `1`, level: "gold", city: "${SHELL(id)}", remark: "$(date) `date` <b>, %2C + ;"},
	&customer{id: "C1005", tel: "+14155550123", nick: "Zoë 🙂", vip: `"2"`, level: "basic", city: "San Francisco", remark: "{env.HOME} {http.request.uri}"},
)

// findByTel takes the number as the demo's customers would dial it: a mainland
// number may come with +86 or without.
func findByTel(tel string) *customer {
	if local, ok := strings.CutPrefix(tel, "+86"); ok {
		tel = local
	}
	return find(func(c *customer) bool { return c.tel == tel })
}

func findByID(id string) *customer {
	return find(func(c *customer) bool { return c.id == id })
}

func find(match func(*customer) bool) *customer {
	for _, c := range customers {
		if match(c) {
			return c
		}
	}
	return nil
}

func encoded(cs ...*customer) []*customer {
	for _, c := range cs {
		c.answer = c.encode()
	}
	return cs
}

// encode writes the order answer, about 1 KB: an id beyond 2^53, an amount
// with a trailing zero, nested objects and lists, null and booleans.
func (c *customer) encode() []byte {
	return fmt.Appendf(nil, `{"code":"000000","msg":"success","data":{`+
		`"orderId":9007199254740993,"amount":1.10,"currency":"CNY","status":"shipped","paid":true,"cancelled":false,"coupon":null,`+
		`"id":%s,"tel":%s,"nick":%s,"isVip":%s,"level":%s,"city":%s,"remark":%s,`+
		`"items":[`+
		`{"sku":"A-1001","title":"wireless headset","quantity":1,"price":0.60,"tags":["audio","new"]},`+
		`{"sku":"B-2002","title":"USB cable, 1 m","quantity":2,"price":0.25,"tags":[]}],`+
		`"shipping":{"carrier":"SF Express","number":"SF1234567890123","address":{"city":%s,"street":"1 Jianguo Road","postcode":"100000"},"eta":"2026-11-30T10:00:00+08:00"},`+
		`"agent":{"name":"Wang","group":"north","extension":8001},`+
		`"history":[{"at":1656143373000,"event":"created"},{"at":1656146973000,"event":"paid"},{"at":1656233373000,"event":"shipped"}],`+
		`"note":"Leave the parcel with the neighbour on the second floor when nobody answers the door; call before noon."}}`,
		quote(c.id), quote(c.tel), quote(c.nick), c.vip, quote(c.level), quote(c.city), quote(c.remark), quote(c.city))
}

func quote(s string) []byte { return asJSON("", 0, s).body }
