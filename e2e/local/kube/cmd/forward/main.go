// Command forward listens where it is started and dials within another network namespace:
//
//	forward NAMESPACE-FILE LISTEN-ADDRESS TARGET-ADDRESS
//
// It writes the address that it listens on to standard output as one line, and ends when its namespace's file is gone,
// or, with -hold, when its standard input ends.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxConnections = 4096
	dialTimeout    = 10 * time.Second
	lookEvery      = time.Second
)

func fail(err error) {
	fmt.Fprintln(os.Stderr, "forward:", err)
	os.Exit(1)
}

// dialer answers requests for connections on a thread of its own that has moved into the namespace for good.
type dialer struct {
	requests chan chan result
}

type result struct {
	connection *net.TCPConn
	err        error
}

func (d dialer) run(namespace *os.File, target string) {
	// Never unlocked: the runtime throws the moved thread away with the goroutine.
	runtime.LockOSThread()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		fail(err)
	}
	for reply := range d.requests {
		connection, err := net.DialTimeout("tcp", target, dialTimeout)
		if err != nil {
			reply <- result{err: err}
			continue
		}
		reply <- result{connection: connection.(*net.TCPConn)}
	}
}

func (d dialer) dial() (*net.TCPConn, error) {
	reply := make(chan result, 1)
	d.requests <- reply
	r := <-reply
	return r.connection, r.err
}

// relay copies both ways until both directions have ended, passing half-closes on.
func relay(a, b *net.TCPConn) {
	var both sync.WaitGroup
	both.Add(2)
	one := func(to, from *net.TCPConn) {
		defer both.Done()
		if _, err := io.Copy(to, from); err != nil {
			to.SetLinger(0)
			to.Close()
			return
		}
		to.CloseWrite()
	}
	go one(a, b)
	go one(b, a)
	both.Wait()
	a.Close()
	b.Close()
}

func main() {
	hold := flag.Bool("hold", false, "end with standard input")
	flag.Parse()
	if flag.NArg() != 3 {
		fail(fmt.Errorf("usage: forward [-hold] NAMESPACE-FILE LISTEN-ADDRESS TARGET-ADDRESS"))
	}
	path := flag.Arg(0)
	namespace, err := os.Open(path)
	if err != nil {
		fail(err)
	}
	listener, err := net.Listen("tcp", flag.Arg(1))
	if err != nil {
		fail(err)
	}
	d := dialer{requests: make(chan chan result)}
	for range 4 {
		go d.run(namespace, flag.Arg(2))
	}
	fmt.Println(listener.Addr())

	if *hold {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
	}
	go func() {
		for range time.Tick(lookEvery) {
			if _, err := os.Stat(path); err != nil {
				os.Exit(0)
			}
		}
	}()

	slots := make(chan struct{}, maxConnections)
	for {
		slots <- struct{}{}
		client, err := listener.Accept()
		if err != nil {
			fail(err)
		}
		go func() {
			defer func() { <-slots }()
			server, err := d.dial()
			if err != nil {
				client.Close()
				fmt.Fprintln(os.Stderr, "forward:", err)
				return
			}
			relay(client.(*net.TCPConn), server)
		}()
	}
}
