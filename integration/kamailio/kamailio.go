// Package kamailio runs a real phone flow on loopback: Kamailio as the phone
// system that asks Switchboard about every call, and sipp as those who call.
// kamailio.cfg and uac.xml run by hand as well; their comments say how.
//
// It needs the Debian packages kamailio, kamailio-utils-modules,
// kamailio-extra-modules and sip-tester.
package kamailio

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed kamailio.cfg
var config []byte

// startTimeout bounds the wait for Kamailio's first answer, which takes it
// about a second on an idle machine.
const startTimeout = 30 * time.Second

// Proxy is a running Kamailio.
type Proxy struct {
	// Addr is where it listens, by UDP: "127.0.0.1:port".
	Addr string

	dir     string
	process *os.Process
	stop    context.CancelFunc
	done    chan struct{} // closed when the process has ended
	err     error         // how; set before done is closed
}

// Start runs Kamailio in the foreground with the flow of kamailio.cfg, and
// returns when it answers. api is the URL that the flow asks, without a query:
// "http://127.0.0.1:8080/ivr/order". dir is an existing directory for its files.
// Kamailio ends with Stop, or with ctx.
func Start(ctx context.Context, api, dir string) (*Proxy, error) {
	if strings.ContainsAny(api, "\"\\\n?") {
		return nil, fmt.Errorf("starting kamailio: %q is not a URL without a query", api)
	}
	cfg := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(cfg, config, 0o600); err != nil {
		return nil, fmt.Errorf("starting kamailio: %w", err)
	}
	log, err := os.Create(filepath.Join(dir, "kamailio.log"))
	if err != nil {
		return nil, fmt.Errorf("starting kamailio: %w", err)
	}
	defer log.Close() // the process has its own
	addr, err := freePort(ctx)
	if err != nil {
		return nil, fmt.Errorf("starting kamailio: %w", err)
	}

	ctx, stop := context.WithCancel(ctx)
	p := &Proxy{Addr: addr, dir: dir, stop: stop, done: make(chan struct{})}
	cmd := exec.CommandContext(ctx, "kamailio", "-f", cfg, "-DD", "-E",
		"-l", "udp:"+addr, "-A", `API="`+api+`"`, "-Y", dir, "-w", dir)
	cmd.Stdout, cmd.Stderr = log, log
	// Kamailio is a dozen processes. In a group of their own, all of them can
	// be ended even when the first one had to be killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second // it waits for lookups that are under way
	if err := cmd.Start(); err != nil {
		stop()
		return nil, fmt.Errorf("starting kamailio: %w", err)
	}
	p.process = cmd.Process
	go func() {
		p.err = cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		close(p.done)
	}()
	if err := p.ready(ctx); err != nil {
		_ = p.Stop()
		return nil, fmt.Errorf("starting kamailio: %w; it says:\n%s", err, p.Log())
	}
	return p, nil
}

// Stop ends Kamailio, waits for it, and tells when it didn't end well. It may
// be called again.
func (p *Proxy) Stop() error {
	p.stop()
	p.insist()
	// Wait gives the context's error for a process that ended well because of it.
	if p.err != nil && !errors.Is(p.err, context.Canceled) && !errors.Is(p.err, context.DeadlineExceeded) {
		return fmt.Errorf("stopping kamailio: %w", p.err)
	}
	return nil
}

// insist waits for Kamailio's end. A SIGTERM that comes while it still starts its
// processes can pass one of them by, and the first one waits for that.
func (p *Proxy) insist() {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-again.C:
			_ = syscall.Kill(-p.process.Pid, syscall.SIGTERM)
		}
	}
}

// Log is what Kamailio has written so far.
func (p *Proxy) Log() string {
	return string(read(p.dir, "kamailio.log"))
}

// ready polls with OPTIONS until an answer comes.
func (p *Proxy) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "udp", p.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	buf := make([]byte, 2048)
	for n := 1; ; n++ {
		// Nobody listening yet shows as an error of Write or Read: next try.
		_, _ = conn.Write(options(p.Addr, conn.LocalAddr().String(), n))
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if got, err := conn.Read(buf); err == nil && strings.HasPrefix(string(buf[:got]), "SIP/2.0 200") {
			return nil
		}
		select {
		case <-again.C:
		case <-p.done:
			return fmt.Errorf("it ended: %w", p.err)
		case <-ctx.Done():
			return fmt.Errorf("waiting for its answer: %w", ctx.Err())
		}
	}
}

// options is a SIP request that asks whether somebody is there.
func options(to, from string, n int) []byte {
	return []byte(strings.Join([]string{
		"OPTIONS sip:ready@" + to + " SIP/2.0",
		fmt.Sprintf("Via: SIP/2.0/UDP %s;branch=z9hG4bK-ready-%d", from, n),
		"From: <sip:ready@" + from + ">;tag=ready",
		"To: <sip:ready@" + to + ">",
		fmt.Sprintf("Call-ID: ready-%d@%s", n, from),
		fmt.Sprintf("CSeq: %d OPTIONS", n),
		"Max-Forwards: 70",
		"Content-Length: 0",
		"", "",
	}, "\r\n"))
}

// freePort is a UDP address on loopback that nobody uses now.
func freePort(ctx context.Context) (string, error) {
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.LocalAddr().String(), nil
}
