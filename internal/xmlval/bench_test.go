package xmlval_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/xmlval"
)

// orders is a SOAP answer of about n bytes, as services write them: with
// declarations, indented, with attributes and a few characters to escape.
func orders(n int) []byte {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="utf-8"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <soap:Body>
    <GetOrdersResponse xmlns="http://example.com/orders">
      <Orders>
`)
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `        <Order id="%d">
          <Number>A-%06d</Number>
          <Status>shipped</Status>
          <Amount currency="CNY">%d.50</Amount>
          <Customer>
            <Name>张伟 &amp; Söhne</Name>
            <Tel>+8613800138000</Tel>
          </Customer>
          <Note xsi:nil="true"/>
          <Item><Sku>A-1001</Sku><Title>wireless headset</Title></Item>
          <Item><Sku>B-2002</Sku><Title>cable</Title></Item>
        </Order>
`, i, i, i)
	}
	b.WriteString(`      </Orders>
    </GetOrdersResponse>
  </soap:Body>
</soap:Envelope>
`)
	return []byte(b.String())
}

// BenchmarkDecode compares a SOAP answer of 100 KB with the same content as JSON,
// and with the tokens of encoding/xml alone.
func BenchmarkDecode(b *testing.B) {
	document := orders(100 << 10)
	lists, err := xmlval.NewLists([]string{"Envelope/Body/GetOrdersResponse/Orders/Order"})
	if err != nil {
		b.Fatal(err)
	}
	v, err := xmlval.Decode(document, jsonval.Limits{}, lists, nil)
	if err != nil {
		b.Fatal(err)
	}
	asJSON, err := jsonval.Encode(nil, v, jsonval.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	for _, bc := range []struct {
		name string
		data []byte
		f    func([]byte) error
	}{
		{"xml", document, func(data []byte) error {
			_, err := xmlval.Decode(data, jsonval.Limits{}, lists, nil)
			return err
		}},
		{"json", asJSON, func(data []byte) error {
			_, err := jsonval.Decode(data, jsonval.Limits{})
			return err
		}},
		{"encoding-xml", document, func(data []byte) error {
			for d := xml.NewDecoder(bytes.NewReader(data)); ; {
				if _, err := d.RawToken(); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
			}
		}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.SetBytes(int64(len(bc.data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := bc.f(bc.data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
