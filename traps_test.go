package shm_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTraps: what docs/traps.md names as shown by a test, a model or a mutant
// of the explorer is there.
func TestTraps(t *testing.T) {
	read := func(pattern string) string {
		files, err := filepath.Glob(filepath.FromSlash(pattern))
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, files, err)
		}
		var all strings.Builder
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(b)
		}
		return all.String()
	}
	page := read("docs/traps.md")
	row := regexp.MustCompile(`(?m)^\| (T\d+) [ABC] \|.*\| (.*) \|$`)
	test := regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)`")
	quoted := regexp.MustCompile("`([^`]+)`")
	models, order := read("spec/models/models_test.go"), read("docs/memory-order.md")
	seen := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		trap, shown := m[1], m[2]
		if seen[trap] {
			t.Errorf("%s has two rows", trap)
		}
		seen[trap] = true
		for _, m := range test.FindAllStringSubmatch(shown, -1) {
			if !strings.Contains(read(m[1]+"/*_test.go"), "\nfunc "+m[2]+"(") {
				t.Errorf("%s: there is no %s in %s", trap, m[2], m[1])
			}
		}
		if _, list, ok := strings.Cut(shown, "models: "); ok {
			list, _, _ = strings.Cut(list, "explorer: ")
			for _, m := range quoted.FindAllStringSubmatch(list, -1) {
				model, variant, _ := strings.Cut(m[1], " ")
				flags := `[^"]*`
				if variant != "" {
					flags = `([^"]* )?` + variant
				}
				if !regexp.MustCompile(`model: "` + model + `", flags: "` + flags + `"`).MatchString(models) {
					t.Errorf("%s: there is no model %s", trap, m[1])
				}
			}
		}
		if _, list, ok := strings.Cut(shown, "explorer: "); ok {
			list, _, _ = strings.Cut(list, "`shm bench`")
			for _, m := range quoted.FindAllStringSubmatch(list, -1) {
				if !strings.Contains(order, "| "+m[1]+" |") {
					t.Errorf("%s: the explorer has no %s", trap, m[1])
				}
			}
		}
		if !test.MatchString(shown) && !strings.Contains(shown, "models: ") && !strings.Contains(shown, "explorer: ") {
			t.Errorf("%s is shown by nothing", trap)
		}
	}
	if len(seen) != 34 {
		t.Errorf("%d traps of 34 have a row", len(seen))
	}
}
