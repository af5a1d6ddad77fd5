package bench

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// machine says in one line where figures come from.
func machine(cpus int) string {
	processors := "1 processor"
	if cpus != 1 {
		processors = fmt.Sprintf("%d processors", cpus)
	}
	if model := processor(); model != "" {
		processors += " " + model
	}
	system := runtime.GOOS
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		release, _, _ := strings.Cut(strings.TrimSpace(string(b)), "-")
		system = "Linux " + release
	}
	return fmt.Sprintf("%s, %s, %s %s", processors, system, runtime.Version(), runtime.GOARCH)
}

// processor gives the model, where the kernel has a name for it.
func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "model name", "Model Name":
			for _, noise := range []string{"(R)", "(TM)", " CPU", " Processor"} {
				value = strings.ReplaceAll(value, noise, "")
			}
			value, _, _ = strings.Cut(value, "@")
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return ""
}
