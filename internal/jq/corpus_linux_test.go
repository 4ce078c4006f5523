package jq

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Programs that take gojq seconds, gigabytes or the process. They run in a child, so that a
// process that dies is a failure of one case.
var corpus = []struct {
	program string
	input   string // a Go-side input by name, see corpusInputs
	want    error  // nil: a result. A slow machine can meet ErrDeadline first
}{
	// Stopped by the clock alone.
	{`repeat(1)|empty`, "", ErrDeadline},
	{`def f: f; f`, "", ErrDeadline},
	{`until(false;.)`, "", ErrDeadline},
	{`range(infinite)|empty`, "", ErrDeadline},
	{`last(range(infinite))`, "", ErrDeadline},
	{`[repeat(1)]`, "", ErrDeadline},
	{`def f: 1+f; f`, "", ErrDeadline},
	{`def f: [f]; f`, "", ErrDeadline},
	{`[range(1e9)|tostring]`, "", ErrDeadline},
	{`[paths]`, "deep", nil},

	// One builtin.
	{`"x"*1e9`, "", ErrTooLarge},
	{`"x"*2e9|length`, "", ErrTooLarge},
	{`"x"*3e9`, "", ErrTooLarge},
	{`1e9*"x"`, "", ErrTooLarge},
	{`.*1000`, "letters1M", ErrTooLarge},
	{`reduce range(60) as $i ("x";.+.)`, "", ErrTooLarge},
	{`reduce range(60) as $i ("x";"\(.)\(.)")`, "", ErrTooLarge},
	{`reduce range(60) as $i ("x";@html "\(.)\(.)")`, "", ErrTooLarge},
	{`reduce range(60) as $i ("x";[.,.]|join(""))`, "", ErrTooLarge},
	{`reduce range(60) as $i ("x";[.,.]|add)`, "", ErrTooLarge},
	{`reduce range(60) as $i ([0];.+.)`, "", ErrTooLarge},
	{`reduce range(60) as $i ([0];[.,.]|flatten)`, "", ErrTooLarge},
	{`reduce range(60) as $i ("x";. += .)`, "", ErrTooLarge},
	{`reduce range(24) as $i (12345678901234567890;.*.)`, "", ErrTooLarge},
	{`[range(1000)|"x"*8000000]`, "", ErrTooLarge},
	{`[range(1000) as $i|$i|tostring|.*2000000]`, "", ErrTooLarge},
	{`("x"*8000000) as $x|[range(1000)|$x+"y"]`, "", ErrTooLarge},
	{`("x"*8000000) as $x|[range(1000)|$x|ascii_upcase]`, "", ErrTooLarge},
	{`("x"*8000000) as $x|[range(1000)|{($x): 1}]|length`, "", nil},
	{`[range(300000)] as $x|[range(1000)|$x|.[0]=1]`, "", ErrTooLarge},
	{`[range(300000)] as $x|[range(1000)|$x|reverse]`, "", ErrTooLarge},
	{`0|strftime("%1024Y"*100000)`, "", ErrFailed},
	{`[range(100000)] as $x|$x|join("x"*1000000)`, "", ErrTooLarge},
	{`("x"*1000000) as $x|[range(100000)|$x]|@csv`, "", ErrTooLarge},
	{`("x"*1000000) as $x|[range(100000)|$x]|add`, "", ErrTooLarge},
	{`("x"*1000000) as $x|[range(100000)|$x]|tojson`, "", ErrTooLarge},
	{`[[range(500000)]]+[range(100000)|[]]|transpose`, "", ErrTooLarge},
	{`[range(200000)] as $x|def f: $x[] as $i|f; f`, "", ErrTooLarge},
	{`[range(200000)] as $x|def f: $x|map(f); f`, "", ErrTooLarge},
	{`null|.[536870911]=1`, "", ErrTooLarge},
	{`. as $i|null|setpath([500000000];1)`, "", ErrTooLarge},

	// Regular expressions.
	{`[match(".";"g")]|length`, "letters40K", nil},
	{`gsub("[^0-9]";"")`, "letters10K", nil},
	{`gsub("[^0-9]";"")`, "letters50K", nil},
	{`gsub("[^0-9]";"")`, "letters100K", nil},
	{`gsub("[^0-9]";"")`, "letters200K", ErrTooLarge}, // more than 100 000 matches
	{`gsub("[^0-9]+";"")`, "letters200K", nil},
	{`gsub("\\s+";" ")`, "words200K", nil},
	{`gsub("a(.*b)?";"")`, "letters200K", ErrDeadline},
	{`[match("a(.*b)?";"g")]`, "lines", ErrDeadline},
	{`test("(((a{1,10}){1,10}){1,10})b")`, "letters1M", ErrTooLarge},
	{`test("(a*)*b")`, "letters1M", nil},
	{`[splits("")]|length`, "letters1M", ErrTooLarge},

	// Searches.
	{`split("")|length`, "letters1M", ErrTooLarge},
	{`./""|length`, "letters1M", ErrTooLarge},
	{`explode|length`, "letters1M", ErrTooLarge},
	{`indices("a"*20)|length`, "letters1M", nil},
	{`rindex("a"*400000)`, "letters1M", nil},
	{`[range(100000)|0] as $a|[range(3000)|0] as $b|$a|indices($b)|length`, "", ErrDeadline},
	{`[range(100000)|0] as $a|[range(3000)|0] as $b|$a[$b]`, "", ErrFailed},
	{`[range(100000)|0] as $a|[range(3000)|0] as $b|$a|getpath([$b])`, "", ErrFailed},
	{`[range(20000)] as $a|[range(20000;40000)] as $b|$a-$b|length`, "", ErrTooLarge},
	{`[range(20000)] as $a|[range(20000;40000)] as $b|$a|contains($b)`, "", nil},
	{`[range(100000)|[.%7,"x"]]|sort|length`, "", nil},
	{`unique|length`, "numbers", nil},
	{`("1"*1000000)|tonumber`, "", ErrFailed},
	{`.[0]|tojson|fromjson`, "numbers", nil},
	{`("[0"+(",0"*2000000)+"]")|fromjson`, "", ErrTooLarge},

	// The stack.
	{`reduce range(3000000) as $i (null;[.])|tojson`, "", ErrDeadline},
	{`reduce range(100000) as $i (null;[.])|tojson`, "", ErrTooLarge},
	{`reduce range(100000) as $i (null;[.])|.==[.]`, "", ErrTooLarge},
	{`reduce range(100000) as $i (null;[.])|. as $x|[$x,$x]|sort|length`, "", ErrTooLarge},
	{`reduce range(100000) as $i (null;[.])|contains(.)`, "", ErrTooLarge},
	{`reduce range(100000) as $i (null;{a:.})|.*.`, "", ErrTooLarge},
	{`reduce range(100000) as $i (null;{a:.})|del(.a.a)`, "", nil},
	{`reduce range(100000) as $i (null;[.])|flatten`, "", ErrTooLarge},
	{`reduce range(30000) as $i (null;[.])|[paths]|length`, "", ErrDeadline},
	{`reduce range(100000) as $i (null;[.])|[tostream]|length`, "", ErrDeadline},
	{`reduce range(100000) as $i (null;[.])|flat`, "", ErrTooLarge},
	{`reduce range(100000) as $i (null;[.])|try error(.) catch length`, "", nil},
	{`[range(100000)|0] as $p|null|setpath($p;1)`, "", ErrTooLarge},
	{`. as $p|null|setpath($p;1)`, "numbers", ErrTooLarge},
	{`. as $p|null|getpath($p)|length`, "numbers", ErrTooLarge},
	{`. as $p|null|path(getpath($p))|length`, "numbers", ErrTooLarge},
	{`. as $p|null|pick(getpath($p))`, "numbers", ErrTooLarge},
	{`. as $p|null|getpath($p)|=1`, "numbers", ErrTooLarge},
	{`. as $p|null|delpaths([$p])`, "numbers", ErrTooLarge},
	{`reduce range(23) as $i ([0];.+.) as $p|null|setpath($p;1)`, "", ErrTooLarge},
	{`fromstream([.,1])`, "numbers", ErrTooLarge},

	// Shared parts that are met again and again.
	{`reduce range(40) as $i ([1];[.,.])|tojson`, "", ErrTooLarge},
	{`reduce range(40) as $i ([1];[.,.])|"\(.)"`, "", ErrTooLarge},
	{`reduce range(40) as $i ([1];[.,.])|@base64`, "", ErrTooLarge},
	{`reduce range(40) as $i ([1];[.,.])|flatten`, "", ErrTooLarge},
	{`reduce range(40) as $i ({};{a:.,b:.})|flat`, "", ErrTooLarge},
	{`reduce range(40) as $i ({};{a:.,b:.})|.*.`, "", ErrTooLarge},
	{`reduce range(40) as $i ([1];[.,.])|.==(.|map(.))`, "", ErrDeadline},
	{`reduce range(40) as $i ([1];[.,.])|INDEX(.)`, "", ErrTooLarge},
	{`[reduce range(40) as $i ([1];[.,.])|..]|length`, "", ErrDeadline},
}

func corpusInputs(name string) []byte {
	letters := func(n int) []byte { return []byte(`"` + strings.Repeat("a", n-2) + `"`) }
	switch name {
	case "letters10K":
		return letters(10_000)
	case "letters40K":
		return letters(40_000)
	case "letters50K":
		return letters(50_000)
	case "letters100K":
		return letters(100_000)
	case "letters200K":
		return letters(200_000)
	case "letters1M":
		return letters(1 << 20)
	case "words200K":
		return []byte(`"` + strings.Repeat("a ", 99_000) + `"`)
	case "lines":
		return []byte(`"` + strings.Repeat(`a\n`, 10_000) + strings.Repeat("a", 400_000) + `"`)
	case "numbers":
		return []byte("[" + strings.Repeat("0,", 524_000) + "0]")
	case "deep":
		return []byte(strings.Repeat("[", 1000) + strings.Repeat("]", 1000))
	}
	return []byte("null")
}

// A corpusLine is what the child says of a case.
type corpusLine struct {
	Case    int
	Started bool
	Err     string
	MS      int64
	MiB     int
}

const corpusChild = "SWITCHBOARD_JQ_CORPUS"

func TestCorpus(t *testing.T) {
	t.Parallel()
	if os.Getenv(corpusChild) != "" {
		runCorpus(t)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestCorpus$", "-test.v")
	cmd.Env = append(os.Environ(), corpusChild+"=1")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	died := cmd.Run()
	last, lines := 0, map[int]corpusLine{}
	for scanner := bufio.NewScanner(&output); scanner.Scan(); {
		var l corpusLine
		text, ok := strings.CutPrefix(scanner.Text(), corpusChild+" ")
		if !ok || json.Unmarshal([]byte(text), &l) != nil {
			continue
		}
		if last = l.Case; !l.Started {
			lines[l.Case] = l
		}
	}
	if died != nil || len(lines) != len(corpus) {
		t.Fatalf("the child ended (%v) after %d of %d cases, at %s", died, len(lines), len(corpus), corpus[last].program)
	}
	for i, c := range corpus {
		l := lines[i]
		t.Logf("%-95s %-28.28s %5d ms %4d MiB", c.program, l.Err, l.MS, l.MiB)
		if !l.within() {
			t.Errorf("%s: %d ms, %d MiB", c.program, l.MS, l.MiB)
		}
		want := ""
		if c.want != nil {
			want = c.want.Error()
		}
		if !strings.HasPrefix(l.Err, ErrDeadline.Error()) && (!strings.HasPrefix(l.Err, want) || want == "" && l.Err != "") {
			t.Errorf("%s: %q, want %q", c.program, l.Err, want)
		}
	}
}

func runCorpus(t *testing.T) {
	t.Helper()
	limit := syscall.Rlimit{Cur: 4 << 30, Max: 4 << 30}
	if slowdown == 1 { // the race detector reserves more than that
		if err := syscall.Setrlimit(syscall.RLIMIT_AS, &limit); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range corpus {
		say(corpusLine{Case: i, Started: true})
		p, err := Compile(c.program, Spec{})
		if err != nil {
			t.Fatalf("%s: %v", c.program, err)
		}
		in, err := jsonval.Decode(corpusInputs(c.input), jsonval.Limits{})
		if err != nil {
			t.Fatalf("%s: %v", c.input, err)
		}
		for range 3 { // other tests take the machine away
			l := corpusLine{Case: i}
			debug.FreeOSMemory()
			// 5 resets the peak (proc(5)).
			if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
				t.Fatal(err)
			}
			before, start := peak(t), time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), Deadline/slowdown)
			_, err := p.Run(ctx, in)
			cancel()
			l.MS, l.MiB = time.Since(start).Milliseconds(), (peak(t)-before)>>10
			if err != nil {
				l.Err = err.Error()
			}
			if say(l); l.within() {
				break
			}
		}
	}
}

// within reports whether a case kept to its time and memory. Most take less than a
// tenth of it; but the interpreter's own stack grows for as long as a run may take, by
// some 300 MiB under `def f: 1+f; f` on a fast machine.
func (l corpusLine) within() bool {
	return l.MS <= (Deadline+time.Second*slowdown).Milliseconds() && l.MiB <= 512*slowdown
}

func say(l corpusLine) {
	b, _ := json.Marshal(l)
	fmt.Printf("\n%s %s\n", corpusChild, b)
}

// peak is the largest resident set so far, in KiB.
func peak(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
