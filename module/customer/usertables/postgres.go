package usertables

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
)

// OpenPostgres returns the store over tables in PostgreSQL. It connects with the
// first lookup. The DSN is a URL or a list of keywords, as psql takes it;
// pool_max_conns in it is how many connections there are at most (16).
func OpenPostgres(l *Lookup, dsn string, env customer.Env) (customer.Store, error) {
	config, err := dbconn.Postgres(dsn)
	if err != nil {
		return nil, err
	}
	params := config.ConnConfig.RuntimeParams
	params["default_transaction_read_only"] = "on"
	params["statement_timeout"] = fmt.Sprint(queryTimeout.Milliseconds())
	config.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		exactJSON(c.TypeMap())
		return nil
	}
	return newStore(l, env, func() (database, error) {
		pool, err := pgxpool.NewWithConfig(context.Background(), config)
		if err != nil {
			return nil, errors.New("the DSN can't be used")
		}
		return &postgres{pool}, nil
	}), nil
}

// postgres is a pool of connections to PostgreSQL.
type postgres struct{ pool *pgxpool.Pool }

func (p *postgres) query(ctx context.Context, sql string, args []any, limit int) (found []map[string]any, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := dbconn.AcquirePostgres(ctx, p.pool)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	rows, err := c.Query(ctx, sql, append([]any{asText}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		row, err := postgresRow(rows)
		if err != nil {
			return nil, err
		}
		if found = append(found, row); len(found) == limit {
			cancel() // else closing would read all that is left
			return found, nil
		}
	}
	return found, rows.Err()
}

func (p *postgres) renew() { p.pool.Reset() }

func (p *postgres) Close() error {
	p.pool.Close()
	return nil
}

// judge goes by the classes of PostgreSQL's error codes (appendix A of its
// manual). Only the code is without data.
func (p *postgres) judge(err error) *fault {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return &fault{reason: "no connection", lost: true}
	}
	v := &fault{reason: "PostgreSQL refuses with SQLSTATE " + meaning(e.Code, sqlStates), lost: dbconn.PostgresLost(e.Code)}
	if len(e.Code) == 5 && slices.Contains(refusedClasses, e.Code[:2]) && !errors.Is(err, dbconn.ErrNoConnection) {
		v.kind = customer.ErrMismatch
	}
	switch e.Code {
	// No number, one out of range, no date, a character that the database doesn't
	// have: as a caller can send it.
	case "22P02", "22003", "22007", "22008", "22021", "22P05":
		v.unlike = true
	case "57014":
		v.reason = errTooSlow.reason
	}
	return v
}

// typed are the types that are read as what they are; all others are read as
// the text that PostgreSQL writes for them.
var typed = map[uint32]bool{
	pgtype.BoolOID: true, pgtype.ByteaOID: true, pgtype.Int2OID: true, pgtype.Int4OID: true, pgtype.Int8OID: true, pgtype.OIDOID: true,
	pgtype.Float4OID: true, pgtype.Float8OID: true, pgtype.NumericOID: true, pgtype.UUIDOID: true,
	pgtype.DateOID: true, pgtype.TimestampOID: true, pgtype.TimestamptzOID: true, pgtype.JSONOID: true, pgtype.JSONBOID: true,
	pgtype.BoolArrayOID: true, pgtype.ByteaArrayOID: true, pgtype.Int2ArrayOID: true, pgtype.Int4ArrayOID: true, pgtype.Int8ArrayOID: true,
	pgtype.Float4ArrayOID: true, pgtype.Float8ArrayOID: true, pgtype.NumericArrayOID: true, pgtype.UUIDArrayOID: true,
	pgtype.DateArrayOID: true, pgtype.TimestampArrayOID: true, pgtype.TimestamptzArrayOID: true,
	pgtype.JSONArrayOID: true, pgtype.JSONBArrayOID: true, pgtype.TextArrayOID: true, pgtype.VarcharArrayOID: true, pgtype.BPCharArrayOID: true,
}

// asText asks for text where the driver would choose its binary form.
var asText = func() pgx.QueryResultFormatsByOID {
	formats := pgx.QueryResultFormatsByOID{}
	known := pgtype.NewMap()
	for oid := range uint32(10_000) { // its own types; others have no binary form here
		if _, ok := known.TypeForOID(oid); ok && !typed[oid] {
			formats[oid] = pgx.TextFormatCode
		}
	}
	return formats
}()

// exactJSON keeps the digits of numbers in JSON.
func exactJSON(m *pgtype.Map) {
	unmarshal := func(data []byte, to any) error {
		v, err := document(data)
		*to.(*any) = v
		return err
	}
	text := &pgtype.Type{Name: "json", OID: pgtype.JSONOID, Codec: &pgtype.JSONCodec{Marshal: json.Marshal, Unmarshal: unmarshal}}
	binary := &pgtype.Type{Name: "jsonb", OID: pgtype.JSONBOID, Codec: &pgtype.JSONBCodec{Marshal: json.Marshal, Unmarshal: unmarshal}}
	m.RegisterType(text)
	m.RegisterType(binary)
	m.RegisterType(&pgtype.Type{Name: "_json", OID: pgtype.JSONArrayOID, Codec: &pgtype.ArrayCodec{ElementType: text}})
	m.RegisterType(&pgtype.Type{Name: "_jsonb", OID: pgtype.JSONBArrayOID, Codec: &pgtype.ArrayCodec{ElementType: binary}})
}

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
	return value(v, oid == pgtype.DateOID || oid == pgtype.DateArrayOID)
}
