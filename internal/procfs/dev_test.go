package procfs

import "testing"

func TestDev(t *testing.T) {
	for _, c := range []struct {
		dev  Dev
		stat uint64
		text string
	}{
		{Dev{0, 1}, 1, "00:01"},
		{Dev{254, 0}, 65024, "fe:00"},
		{Dev{0, 27}, 27, "00:1b"},
		{Dev{0x12345, 0xabcde}, 0x1_2000_abc3_45de, "12345:abcde"},
	} {
		if got := c.dev.Stat(); got != c.stat {
			t.Errorf("%v.Stat() = %d, want %d", c.dev, got, c.stat)
		}
		if got := DevFromStat(c.stat); got != c.dev {
			t.Errorf("DevFromStat(%d) = %v, want %v", c.stat, got, c.dev)
		}
		if got := c.dev.String(); got != c.text {
			t.Errorf("String() = %q, want %q", got, c.text)
		}
		if got, ok := parseDev([]byte(c.text), 16); !ok || got != c.dev {
			t.Errorf("parseDev(%q) = %v, %v", c.text, got, ok)
		}
	}
}
