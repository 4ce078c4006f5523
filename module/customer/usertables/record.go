package usertables

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// recordOf makes a customer of a row. Its errors hold nothing of the row.
func (l *Lookup) recordOf(ctx context.Context, row map[string]any) (*customer.Record, error) {
	out, err := l.record.Run(ctx, row)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	object, ok := out.(map[string]any)
	if !ok {
		return nil, errors.New("record gives no object")
	}
	r := new(customer.Record)
	for name, v := range object {
		value, err := text(v)
		if err != nil {
			if customer.FieldOf(name) == nil {
				name = "a custom field"
			}
			return nil, fmt.Errorf("record: %s: %w", name, err)
		}
		if value != "" {
			r.Set(name, value)
		}
	}
	err = r.Normalize()
	switch {
	case errors.Is(err, customer.ErrNoID):
		return nil, errors.New("record gives no id")
	case err != nil:
		return nil, fmt.Errorf("record: %w", err)
	}
	return r, nil
}

// text is a value as a customer's field: null is not known, a list or an object
// is its JSON.
func text(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case json.Number:
		return v.String(), nil
	case *big.Int:
		return v.String(), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", nil
		}
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	default:
		b, err := jsonval.Encode(nil, v, jsonval.Limits{})
		return string(b), err
	}
}
