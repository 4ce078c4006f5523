package usertables

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

// mysqlValue makes of a column's value what jq knows.
func mysqlValue(v any, declared string) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case int64:
		return int(v), nil
	case uint64:
		return number(strconv.FormatUint(v, 10)), nil
	case float32:
		return float(float64(v), 32), nil
	case float64:
		return float(v, 64), nil
	case string:
		return mysqlBytes([]byte(v), declared)
	case []byte:
		return mysqlBytes(v, declared)
	case time.Time:
		return moment(v), nil
	default:
		return nil, errColumnType
	}
}

// mysqlBytes reads what comes as bytes, which is nearly everything.
func mysqlBytes(b []byte, declared string) (any, error) {
	switch declared {
	case "DECIMAL", "UNSIGNED BIGINT":
		return number(string(b)), nil
	case "BIT":
		if len(b) <= 8 {
			var wide [8]byte
			copy(wide[8-len(b):], b)
			return number(strconv.FormatUint(binary.BigEndian.Uint64(wide[:]), 10)), nil
		}
		return bytes(b)
	case "JSON":
		return document(b)
	case "DATE":
		return mysqlTime(string(b), time.DateOnly, day)
	case "DATETIME", "TIMESTAMP":
		return mysqlTime(string(b), time.DateTime, moment)
	case "BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB", "GEOMETRY", "VECTOR":
		return bytes(b)
	default: // text of all lengths, ENUM, SET, TIME
		return plain(string(b))
	}
}

// mysqlTime reads a time. The date of zeros, which MySQL can hold, is null.
func mysqlTime(text, layout string, as func(time.Time) any) (any, error) {
	if strings.HasPrefix(text, "0000-00-00") {
		return nil, nil
	}
	t, err := time.Parse(layout, text)
	if err != nil { // as in 2024-00-00
		return plain(text)
	}
	return as(t), nil
}
