package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	pb "sigs.k8s.io/gateway-api/conformance/echo-basic/grpcechoserver"
)

const requestTimeout = 10 * time.Second

// headers collects -H NAME:VALUE.
type headers [][2]string

func (h *headers) String() string { return fmt.Sprint(*h) }

func (h *headers) Set(text string) error {
	name, value, found := strings.Cut(text, ":")
	if !found {
		return fmt.Errorf("header %q: must be NAME:VALUE", text)
	}
	*h = append(*h, [2]string{name, strings.TrimSpace(value)})
	return nil
}

// request makes the requests of `client URL [--method=M] [-H NAME:VALUE]... [--count=N]` and prints each answer, a blank line between two.
func request(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("client: a URL is needed")
	}
	target, err := url.Parse(args[0])
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	method := flags.String("method", "GET", "method of HTTP requests")
	count := flags.Int("count", 1, "number of requests")
	var extra headers
	flags.Var(&extra, "H", "header, as NAME:VALUE")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	ask, done := askHTTP(target, *method, extra)
	if target.Scheme == "grpc" {
		ask, done, err = askGRPC(target, extra)
		if err != nil {
			return err
		}
	}
	defer done()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for i := range *count {
		lines, err := ask()
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(out)
		}
		for _, line := range lines {
			fmt.Fprintf(out, "[%d] %s\n", i, line)
		}
	}
	return nil
}

func askHTTP(target *url.URL, method string, extra headers) (func() ([]string, error), func()) {
	client := &http.Client{
		Timeout:       requestTimeout,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ask := func() ([]string, error) {
		request, err := http.NewRequest(method, target.String(), nil)
		if err != nil {
			return nil, err
		}
		for _, header := range extra {
			if strings.EqualFold(header[0], "Host") {
				request.Host = header[1]
			} else {
				request.Header.Add(header[0], header[1])
			}
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		lines := []string{fmt.Sprintf("StatusCode=%d", response.StatusCode)}
		for _, name := range sortedNames(response.Header) {
			for _, value := range response.Header[name] {
				lines = append(lines, fmt.Sprintf("ResponseHeader=%s:%s", name, value))
			}
		}
		body := bufio.NewScanner(response.Body)
		for body.Scan() {
			if body.Text() != "" {
				lines = append(lines, "body] "+body.Text())
			}
		}
		return lines, body.Err()
	}
	return ask, client.CloseIdleConnections
}

func askGRPC(target *url.URL, extra headers) (func() ([]string, error), func(), error) {
	connection, err := grpc.NewClient("passthrough:///"+target.Host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, err
	}
	client := pb.NewGrpcEchoClient(connection)
	ask := func() ([]string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		defer cancel()
		for _, header := range extra {
			ctx = metadata.AppendToOutgoingContext(ctx, header[0], header[1])
		}
		response, err := client.Echo(ctx, &pb.EchoRequest{})
		if err != nil {
			return nil, err
		}
		assertions := response.GetAssertions()
		// The suite expects HTTP's status, and reads the pod from the name of the host.
		lines := []string{"StatusCode=200", "Hostname=" + assertions.GetContext().GetPod(), "Host=" + assertions.GetAuthority()}
		for _, header := range assertions.GetHeaders() {
			lines = append(lines, fmt.Sprintf("RequestHeader=%s:%s", header.GetKey(), header.GetValue()))
		}
		return lines, nil
	}
	return ask, func() { connection.Close() }, nil
}

func sortedNames(values map[string][]string) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
