package main

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/gateway-api/conformance/utils/echo"
)

// listen gives a loopback port and ends what serves it with the test.
func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

func ask(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := runClient(args, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func want(t *testing.T, what, got, expected string) {
	t.Helper()
	if got != expected {
		t.Errorf("%s: got %q, want %q", what, got, expected)
	}
}

func hostname(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestHTTPIsWhatTheSuiteReads(t *testing.T) {
	listener := listen(t)
	go httpServer(portOf(listener.Addr())).Serve(listener)
	address := listener.Addr().String()
	text := ask(t, "http://"+address+"/a//b?x=1", "--method=PUT", "-H", "Version:two", "-H", "X-Many:1", "-H", "X-Many:2")
	got := echo.ParseResponse(text)
	want(t, "code", got.Code, "200")
	want(t, "method", got.Method, "PUT")
	want(t, "protocol", got.Protocol, "HTTP/1.1")
	want(t, "host", got.Host, address)
	want(t, "URL", got.URL, "/a//b?x=1")
	want(t, "hostname", got.Hostname, hostname(t))
	want(t, "port", ":"+got.Port, address[strings.LastIndex(address, ":"):])
	want(t, "address", got.IP, "127.0.0.1")
	want(t, "header", got.RequestHeaders.Get("Version"), "two")
	want(t, "headers", strings.Join(got.RequestHeaders.Values("X-Many"), ","), "1,2")
	want(t, "response header", got.ResponseHeaders.Get("Content-Type"), "text/plain")
}

func TestHTTP2(t *testing.T) {
	plain, encrypted := listen(t), listen(t)
	own, err := certificate("", "")
	if err != nil {
		t.Fatal(err)
	}
	secure := tls.NewListener(encrypted, &tls.Config{Certificates: []tls.Certificate{own}, NextProtos: []string{"h2", "http/1.1"}})
	go httpServer(0).Serve(plain)
	go httpServer(0).Serve(secure)
	want(t, "h2c", echo.ParseResponse(ask(t, "h2c://"+plain.Addr().String())).Protocol, "HTTP/2.0")
	got := echo.ParseResponse(ask(t, "https://"+encrypted.Addr().String()))
	want(t, "https", got.Protocol, "HTTP/2.0")
	want(t, "ALPN", got.Alpn, "h2")
}

func TestGRPCIsWhatTheSuiteReads(t *testing.T) {
	listener := listen(t)
	server := grpcServer(portOf(listener.Addr()))
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	got := echo.ParseResponse(ask(t, "grpc://"+listener.Addr().String(), "-H", "Version:two"))
	want(t, "code", got.Code, "200")
	want(t, "hostname", got.Hostname, hostname(t))
	want(t, "host", got.Host, listener.Addr().String())
	want(t, "header", got.RequestHeaders.Get("version"), "two")
}

func TestTCPIsWhatTheSuiteReads(t *testing.T) {
	listener := listen(t)
	go serveTCP(listener)
	got := echo.ParseResponse(ask(t, "tcp://"+listener.Addr().String()))
	want(t, "code", got.Code, "200")
	want(t, "hostname", got.Hostname, hostname(t))
}

// The suite cuts what a client of --count says at blank lines.
func TestACountOfRequests(t *testing.T) {
	listener := listen(t)
	go httpServer(0).Serve(listener)
	sections := strings.Split(strings.TrimSpace(ask(t, "http://"+listener.Addr().String(), "--count=7")), "\n\n")
	if len(sections) != 7 {
		t.Fatalf("got %d answers, want 7", len(sections))
	}
	for _, section := range sections {
		want(t, "code", echo.ParseResponse(section).Code, "200")
		want(t, "hostname", echo.ParseResponse(section).Hostname, hostname(t))
	}
}

func TestAnUnreachableServerIsAnError(t *testing.T) {
	listener := listen(t)
	listener.Close()
	for _, scheme := range []string{"http", "grpc", "tcp"} {
		if err := runClient([]string{scheme + "://" + listener.Addr().String()}, &bytes.Buffer{}); err == nil {
			t.Errorf("%s: want an error", scheme)
		}
	}
}
