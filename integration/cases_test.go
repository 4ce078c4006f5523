package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// Every example with an API has cases, and they are true, with the command that a
// user has for it.
func TestTheCasesOfTheExamples(t *testing.T) {
	api := startProvider(t, provider.Options{})
	folder := filepath.Join(harness.Root(t), "caddyfile-examples")
	examples, err := filepath.Glob(filepath.Join(folder, "*.Caddyfile"))
	if err != nil || len(examples) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	signing, _ := signatureEnv(t)
	for _, example := range examples {
		name := strings.TrimSuffix(filepath.Base(example), ".Caddyfile")
		text, err := os.ReadFile(example)
		if err != nil {
			t.Fatal(err)
		}
		cases := filepath.Join(folder, "cases", name+".ndjson")
		if _, err := os.Stat(cases); err != nil {
			if strings.Contains(string(text), "\tapi ") {
				t.Errorf("%s has an api and no cases", name)
			}
			continue
		}
		t.Run(name, func(t *testing.T) {
			dir := withPrograms(t)
			config := filepath.Join(dir, "Caddyfile")
			if err := os.WriteFile(config, []byte(strings.NewReplacer("http://127.0.0.1:9090", api.URL(), "https://crm.example.com", api.URL()).Replace(string(text))), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := harness.Command(t, dir, slices.Concat(signing, credentials, []string{
				"CRM_URL=" + api.URL(), "PARTNER_KEY=demo-partner", "PARTNER_SECRET=partner-secret", "IVR_KEY=k", "OPS_KEY=k", "SIDECAR_KEY=k",
				"ERP_APP_KEY=k", "ERP_APP_SECRET=erp-secret", "PARTNER_CLIENT_ID=c", "PARTNER_CLIENT_SECRET=client-secret",
			}), "switchboard", "cases", cases, "--config", config, "--adapter", "caddyfile")
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
