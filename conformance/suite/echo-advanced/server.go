package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The method's name is that of the server which this one stands in for. Its messages have one field, string 1, as StringValue has.
const (
	grpcService = "proto.EchoTestService"
	grpcMethod  = "/" + grpcService + "/Echo"
)

// answer is what a server says: one KEY=VALUE a line.
type answer struct{ strings.Builder }

func (a *answer) add(key, value string) { fmt.Fprintf(a, "%s=%s\n", key, value) }

func (a *answer) addHeaders(headers map[string][]string) {
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, value := range headers[name] {
			a.add("RequestHeader", name+":"+value)
		}
	}
}

// addPlace says who answers, and to whom.
func (a *answer) addPlace(port int, caller net.Addr) {
	a.add("ServicePort", strconv.Itoa(port))
	if host, _, err := net.SplitHostPort(caller.String()); err == nil {
		a.add("IP", host)
	}
	if name, err := os.Hostname(); err == nil {
		a.add("Hostname", name)
	}
}

func portOf(address net.Addr) int {
	if tcp, ok := address.(*net.TCPAddr); ok {
		return tcp.Port
	}
	return 0
}

func httpServer(port int) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	handler := func(w http.ResponseWriter, r *http.Request) {
		if delay, err := time.ParseDuration(r.URL.Query().Get("delay")); err == nil {
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
				return
			}
		}
		var said answer
		said.add("Host", r.Host)
		// As it came: the tests of rewrites want to see it unnormalized.
		said.add("URL", r.RequestURI)
		said.add("Method", r.Method)
		said.add("Proto", r.Proto)
		if r.TLS != nil {
			said.add("Alpn", r.TLS.NegotiatedProtocol)
		}
		said.addHeaders(r.Header)
		caller, _ := net.ResolveTCPAddr("tcp", r.RemoteAddr)
		said.addPlace(port, caller)
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, said.String())
	}
	return &http.Server{Handler: http.HandlerFunc(handler), Protocols: protocols, ReadHeaderTimeout: 10 * time.Second}
}

type echoer interface {
	echo(ctx context.Context, message string) (string, error)
}

type grpcEchoer struct{ port int }

func (e grpcEchoer) echo(ctx context.Context, message string) (string, error) {
	var said answer
	said.add("StatusCode", strconv.Itoa(http.StatusOK))
	said.add("Proto", "GRPC")
	headers, _ := metadata.FromIncomingContext(ctx)
	for _, authority := range headers.Get(":authority") {
		said.add("Host", authority)
	}
	said.addHeaders(headers)
	if caller, ok := peer.FromContext(ctx); ok {
		said.addPlace(e.port, caller.Addr)
	}
	said.add("Echo", message)
	return said.String(), nil
}

func grpcServer(port int) *grpc.Server {
	server := grpc.NewServer()
	call := func(service any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var asked wrapperspb.StringValue
		if err := decode(&asked); err != nil {
			return nil, err
		}
		said, err := service.(echoer).echo(ctx, asked.GetValue())
		return wrapperspb.String(said), err
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: grpcService,
		HandlerType: (*echoer)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Echo", Handler: call}},
	}, grpcEchoer{port})
	return server
}

// serveTCP answers the first line of every connection.
func serveTCP(listener net.Listener) error {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			line, err := bufio.NewReader(connection).ReadString('\n')
			if err != nil && line == "" {
				return
			}
			var said answer
			said.add("StatusCode", strconv.Itoa(http.StatusOK))
			said.add("Proto", "TCP")
			said.addPlace(portOf(listener.Addr()), connection.RemoteAddr())
			said.add("Echo", strings.TrimSpace(line))
			fmt.Fprint(connection, said.String())
		}()
	}
}

// certificate is that of the files; where they are not there, one that is made for this run, since no test verifies it.
func certificate(certificateFile, keyFile string) (tls.Certificate, error) {
	if _, err := os.Stat(certificateFile); err == nil {
		return tls.LoadX509KeyPair(certificateFile, keyFile)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"*"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// runServer serves, without arguments, the ports that the mesh's manifest relies on where it gives none.
func runServer(args []string) error {
	flags := pflag.NewFlagSet("server", pflag.ContinueOnError)
	httpPorts := flags.IntSlice("port", []int{8080}, "port for HTTP/1.1 and HTTP/2")
	grpcPorts := flags.IntSlice("grpc", []int{7070}, "port for gRPC")
	tcpPorts := flags.IntSlice("tcp", nil, "port for TCP")
	tlsPorts := flags.IntSlice("tls", nil, "which of the ports are served over TLS")
	certificateFile := flags.String("crt", "", "certificate, PEM")
	keyFile := flags.String("key", "", "its key, PEM")
	if err := flags.Parse(args); err != nil {
		return err
	}
	own, err := certificate(*certificateFile, *keyFile)
	if err != nil {
		return fmt.Errorf("certificate of %s and %s: %w", *certificateFile, *keyFile, err)
	}
	ended := make(chan error)
	listen := func(ports []int, protocols []string, serve func(net.Listener, int) error) error {
		for _, port := range ports {
			listener, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
			if err != nil {
				return err
			}
			if slices.Contains(*tlsPorts, port) {
				listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{own}, NextProtos: protocols})
			}
			log.Printf("listening on %s", listener.Addr())
			go func() { ended <- serve(listener, port) }()
		}
		return nil
	}
	h2 := []string{"h2", "http/1.1"}
	if err := listen(*httpPorts, h2, func(on net.Listener, port int) error { return httpServer(port).Serve(on) }); err != nil {
		return err
	}
	if err := listen(*grpcPorts, h2[:1], func(on net.Listener, port int) error { return grpcServer(port).Serve(on) }); err != nil {
		return err
	}
	if err := listen(*tcpPorts, nil, func(on net.Listener, _ int) error { return serveTCP(on) }); err != nil {
		return err
	}
	return <-ended
}
