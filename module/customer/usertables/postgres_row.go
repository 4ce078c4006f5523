package usertables

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// postgresRow is the current row as an object of its columns.
func postgresRow(rows pgx.Rows) (map[string]any, error) {
	columns, raw := rows.FieldDescriptions(), rows.RawValues()
	row := make(map[string]any, len(columns))
	for i, column := range columns {
		v, err := postgresColumn(rows.Conn().TypeMap(), column.DataTypeOID, column.Format, raw[i])
		if err != nil {
			return nil, ofColumn(column.Name, err)
		}
		row[column.Name] = v
	}
	return row, nil
}

func postgresColumn(types *pgtype.Map, oid uint32, format int16, raw []byte) (any, error) {
	switch {
	case raw == nil:
		return nil, nil
	case len(raw) > maxColumn:
		return nil, errColumnTooLarge
	case !typed[oid] && format == pgx.TextFormatCode:
		return plain(string(raw))
	}
	t, ok := types.TypeForOID(oid)
	if !ok {
		return nil, errColumnType
	}
	v, err := t.Codec.DecodeValue(types, oid, format, raw)
	if err != nil {
		return nil, errColumnType // the error would quote the value
	}
	if oid == pgtype.JSONOID || oid == pgtype.JSONBOID {
		return v, nil
	}
	return postgresValue(v, oid == pgtype.DateOID || oid == pgtype.DateArrayOID)
}

func postgresValue(v any, isDate bool) (any, error) {
	switch v := v.(type) {
	case nil, bool, map[string]any: // an object is JSON, within a list
		return v, nil
	case string:
		return plain(v)
	case []byte:
		return bytes(v)
	case int16:
		return int(v), nil
	case int32:
		return int(v), nil
	case int64:
		return int(v), nil
	case uint32:
		return int(v), nil
	case float32:
		return float(float64(v), 32), nil
	case float64:
		return float(v, 64), nil
	case pgtype.Numeric:
		return numeric(v)
	case [16]byte:
		return uuid(v), nil
	case time.Time:
		if isDate {
			return day(v), nil
		}
		return moment(v), nil
	case pgtype.InfinityModifier:
		return v.String(), nil
	case []any:
		list := make([]any, len(v))
		for i := range v {
			var err error
			if list[i], err = postgresValue(v[i], isDate); err != nil {
				return nil, err
			}
		}
		return list, nil
	case json.Number, int: // in JSON, within a list
		return v, nil
	default:
		return nil, errColumnType
	}
}

// numeric keeps all digits.
func numeric(n pgtype.Numeric) (any, error) {
	if n.NaN || n.InfinityModifier != pgtype.Finite {
		return nil, nil
	}
	digits, err := n.MarshalJSON()
	if err != nil {
		return nil, errColumnType
	}
	return number(string(digits)), nil
}

func uuid(b [16]byte) string {
	h := hex.EncodeToString(b[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}
