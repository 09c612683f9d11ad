package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	pb "sigs.k8s.io/gateway-api/conformance/echo-basic/grpcechoserver"
)

// defaultPort is that of a server that is told nothing.
const defaultPort = 8080

// ports collects --port=N; a flag that is given twice counts twice.
type ports []int

func (p *ports) String() string { return fmt.Sprint(*p) }

func (p *ports) Set(text string) error {
	port, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	*p = append(*p, port)
	return nil
}

// serve answers on all the ports that it is given, until one of them fails.
func serve(args []string) error {
	var plain, secured, stream, calls ports
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.Var(&plain, "port", "HTTP/1.1 and HTTP/2, without TLS unless --tls names the port as well")
	flags.Var(&secured, "tls", "HTTP over TLS")
	flags.Var(&stream, "tcp", "bytes, given back")
	flags.Var(&calls, "grpc", "gRPC without TLS")
	certificate := flags.String("crt", "", "certificate of the TLS ports, PEM")
	key := flags.String("key", "", "its key, PEM")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if len(plain)+len(secured)+len(stream)+len(calls) == 0 {
		plain = ports{defaultPort}
	}
	failed := make(chan error)
	isSecured := map[int]bool{}
	for _, port := range secured {
		isSecured[port] = true
		go func() { failed <- serveHTTP(port, *certificate, *key) }()
	}
	for _, port := range plain {
		if !isSecured[port] {
			go func() { failed <- serveHTTP(port, "", "") }()
		}
	}
	for _, port := range stream {
		go func() { failed <- serveTCP(port) }()
	}
	for _, port := range calls {
		go func() { failed <- serveGRPC(port) }()
	}
	return <-failed
}

func serveHTTP(port int, certificate, key string) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: fmt.Sprintf(":%d", port), Handler: http.HandlerFunc(echo), Protocols: protocols}
	if certificate == "" {
		return server.ListenAndServe()
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return err
	}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
	return server.ListenAndServeTLS("", "")
}

func echo(answer http.ResponseWriter, request *http.Request) {
	hostname, _ := os.Hostname()
	out := bufio.NewWriter(answer)
	defer out.Flush()
	fmt.Fprintf(out, "URL=%s\nHost=%s\nMethod=%s\nProto=%s\nHostname=%s\n", request.RequestURI, request.Host, request.Method, request.Proto, hostname)
	for _, name := range sortedNames(request.Header) {
		for _, value := range request.Header[name] {
			fmt.Fprintf(out, "RequestHeader=%s:%s\n", name, value)
		}
	}
}

func serveTCP(port int) error {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			reader := bufio.NewReader(connection)
			_, _ = reader.WriteTo(connection)
		}()
	}
}

type grpcServer struct {
	pb.UnimplementedGrpcEchoServer
}

func (grpcServer) Echo(ctx context.Context, _ *pb.EchoRequest) (*pb.EchoResponse, error) {
	hostname, _ := os.Hostname()
	assertions := &pb.Assertions{Context: &pb.Context{Pod: hostname}}
	received, _ := metadata.FromIncomingContext(ctx)
	for _, name := range sortedNames(received) {
		for _, value := range received[name] {
			if name == ":authority" {
				assertions.Authority = value
			} else {
				assertions.Headers = append(assertions.Headers, &pb.Header{Key: name, Value: value})
			}
		}
	}
	return &pb.EchoResponse{Assertions: assertions}, nil
}

func serveGRPC(port int) error {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	pb.RegisterGrpcEchoServer(server, grpcServer{})
	return server.Serve(listener)
}
