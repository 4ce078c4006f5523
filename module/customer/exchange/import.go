package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// What a batch holds at most, unless it is told otherwise.
const (
	DefaultBatch = 5000
	batchBytes   = 8 << 20
)

// Progress is how far an import has come.
type Progress struct {
	Bytes, Size int64 // of the source; Size 0 is unknown
	Stored      int64
}

// Importer brings customers into a store. A customer whose id is there already
// is replaced.
type Importer struct {
	Store customer.Writer
	// Region is where the telephone numbers belong that have no country code, to
	// count those that can't be searched.
	Region phone.Region
	// Batch is the number of customers in a transaction. Default: [DefaultBatch].
	Batch int
	// Rejects takes the rows that are no customers; nil counts them only.
	Rejects *Rejects
	// Progress is told after every batch.
	Progress func(Progress)
	// Unsearchable is told the first customer who can't be found by a field.
	Unsearchable func(Unsearchable)
	// Custom is told the header's names that are no fixed fields.
	Custom func(ids []string)
}

// Result is what an import did.
type Result struct {
	Resumed  int64 // the line up to which an earlier run had come; 0 is none
	Stored   int64 // by this run
	Rejected int64 // by this run and the earlier ones that it continues
	Line     int64 // up to which everything is stored, by this run and earlier ones
	// Unsearchable are the fields by which some customers of the file can't be
	// found, of the rows up to Line.
	Unsearchable []Unsearchable
}

// batch is what goes into one transaction.
type batch struct {
	records []*customer.Record
	rejects []row
	line    int64      // of its last row
	bytes   int64      // of the source, up to here
	unfound unsearched // up to here
	err     error      // what ended the reading
}

// Run imports a source. After an interruption, the same call continues behind
// the last row that is stored. Of an error, the result tells how far it came.
func (i *Importer) Run(ctx context.Context, src Source) (Result, error) {
	var result Result
	rows, format, in, err := open(src.Reader, src.Format)
	if err != nil {
		return result, err
	}
	if src.ID != "" {
		src.ID += "." + string(format)
		if result.Resumed, err = i.Store.Marked(ctx, src.ID); err != nil {
			return result, err
		}
	}
	var header []string
	if c, ok := rows.(*csvRows); ok {
		header = c.names
		if ids := c.custom(); i.Custom != nil && len(ids) > 0 {
			i.Custom(ids)
		}
	}
	if i.Rejects != nil {
		if result.Rejected, err = i.Rejects.begin(format, header, result.Resumed); err != nil {
			return result, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan batch)
	go func() {
		defer close(batches)
		i.read(ctx, rows, in, result.Resumed, batches)
	}()
	defer func() {
		cancel()
		if src.ID == "" {
			return // it may wait for a pipe, where nothing comes
		}
		for range batches { // the reader lets go of the file before we return
		}
	}()
	result.Line = result.Resumed
	for {
		b, more := batch{}, false
		select { // a pipe may have nothing to read for long
		case <-ctx.Done():
		case b, more = <-batches:
		}
		if !more {
			return result, context.Cause(ctx)
		}
		if err := i.store(ctx, src, b, &result); err != nil {
			return result, err
		}
		switch {
		case errors.Is(b.err, io.EOF):
			return result, nil
		case b.err != nil:
			return result, fmt.Errorf("reading line %d: %w", in.number+1, b.err)
		}
	}
}

// read reads batch by batch. Only the last one has an err.
func (i *Importer) read(ctx context.Context, rows rows, in *lines, resumed int64, to chan<- batch) {
	size := cmp.Or(max(0, i.Batch), DefaultBatch)
	b := batch{records: make([]*customer.Record, 0, size)}
	var unfound unsearched
	send := func() bool {
		b.bytes, b.unfound = in.offset, unfound
		select {
		case to <- b:
			b = batch{records: make([]*customer.Record, 0, size)}
			return true
		case <-ctx.Done():
			return false
		}
	}
	for begin := in.offset; ; {
		r, err := rows.next()
		if err != nil {
			b.err = err
			send()
			return
		}
		if r.reason == nil {
			unfound.note(r.record, r.line, i.Region)
		}
		if r.line <= resumed {
			begin = in.offset
			if ctx.Err() != nil {
				return
			}
			continue
		}
		b.line = r.line
		if r.reason != nil {
			b.rejects = append(b.rejects, r)
		} else {
			b.records = append(b.records, r.record)
		}
		if len(b.records)+len(b.rejects) >= size || in.offset-begin >= batchBytes {
			begin = in.offset
			if !send() {
				return
			}
		}
	}
}

// store writes the rejected rows first: when it is interrupted between, the
// next run takes them out again, and so none is lost and none is there twice.
func (i *Importer) store(ctx context.Context, src Source, b batch, result *Result) error {
	if i.Rejects != nil {
		if err := i.Rejects.write(b.rejects); err != nil {
			return err
		}
	}
	var mark *customer.Mark
	if src.ID != "" {
		mark = &customer.Mark{Source: src.ID, Line: b.line, Done: errors.Is(b.err, io.EOF)}
	}
	if len(b.records) > 0 || mark != nil && (b.line > 0 || mark.Done) {
		if err := i.Store.Put(ctx, b.records, mark); err != nil {
			return err
		}
	}
	if b.line > 0 {
		result.Line = b.line
	}
	known := result.Unsearchable
	result.Unsearchable = b.unfound.found()
	for _, u := range result.Unsearchable {
		if i.Unsearchable != nil && !slices.ContainsFunc(known, func(k Unsearchable) bool { return k.Field == u.Field }) {
			i.Unsearchable(u)
		}
	}
	result.Stored += int64(len(b.records))
	result.Rejected += int64(len(b.rejects))
	if i.Progress != nil {
		i.Progress(Progress{Bytes: b.bytes, Size: src.Size, Stored: result.Stored})
	}
	return nil
}
