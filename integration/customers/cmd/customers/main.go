// Command customers writes made up customers, for demos and measurements.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/switchboard-ivr/switchboard/integration/customers"
	"github.com/switchboard-ivr/switchboard/module/customer/exchange"
)

func main() {
	n := flag.Int("n", 1000, "how many")
	seed := flag.Uint64("seed", 1, "the same seed makes the same customers")
	name := flag.String("format", "csv", "csv or ndjson")
	flag.Parse()
	format, err := exchange.ParseFormat(*name)
	if err == nil {
		_, err = exchange.Export(context.Background(), customers.List{Seed: *seed, N: *n}, os.Stdout, format, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "customers:", err)
		os.Exit(1)
	}
}
