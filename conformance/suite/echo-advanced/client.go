package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const defaultTimeout = 10 * time.Second

// request is what the client was told to send.
type request struct {
	target  *url.URL
	method  string
	headers http.Header
	timeout time.Duration
}

// exchange sends the request once and gives what there is to say, as lines: of the response, and of its body.
type exchange func(ctx context.Context) (head []string, body string, err error)

// runClient sends as many requests as it is told, one after the other, and writes what came back; a blank line ends each answer.
// An answer of any status is none of its errors.
func runClient(args []string, out io.Writer) error {
	flags := pflag.NewFlagSet("client", pflag.ContinueOnError)
	method := flags.String("method", http.MethodGet, "HTTP method")
	headers := flags.StringArrayP("header", "H", nil, "NAME:VALUE; may be repeated")
	count := flags.Int("count", 1, "how many requests")
	timeout := flags.Duration("timeout", defaultTimeout, "for each request")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("client: want one URL, got %d", flags.NArg())
	}
	target, err := url.Parse(flags.Arg(0))
	if err != nil {
		return err
	}
	asked := request{target: target, method: *method, headers: http.Header{}, timeout: *timeout}
	for _, header := range *headers {
		name, value, found := strings.Cut(header, ":")
		if !found {
			return fmt.Errorf("header %q: want NAME:VALUE", header)
		}
		asked.headers.Add(name, strings.TrimSpace(value))
	}
	send, done, err := asked.exchanges()
	if err != nil {
		return err
	}
	defer done()
	for index := range *count {
		ctx, cancel := context.WithTimeout(context.Background(), asked.timeout)
		head, body, err := send(ctx)
		cancel()
		if err != nil {
			return fmt.Errorf("request %d to %s: %w", index, target, err)
		}
		write(out, index, head, body)
	}
	return nil
}

func write(out io.Writer, index int, head []string, body string) {
	var text bytes.Buffer
	for _, line := range head {
		fmt.Fprintf(&text, "[%d] %s\n", index, line)
	}
	for line := range strings.Lines(body) {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintf(&text, "[%d body] %s\n", index, line)
		}
	}
	fmt.Fprintf(&text, "\n")
	_, _ = out.Write(text.Bytes())
}

func (r request) exchanges() (exchange, func(), error) {
	switch r.target.Scheme {
	case "http", "https", "h2c":
		return r.http()
	case "grpc":
		return r.grpc()
	case "tcp":
		return r.tcp, func() {}, nil
	default:
		return nil, nil, fmt.Errorf("scheme %q: want http, https, h2c, grpc or tcp", r.target.Scheme)
	}
}

func (r request) http() (exchange, func(), error) {
	protocols := new(http.Protocols)
	target := *r.target
	if target.Scheme == "h2c" {
		target.Scheme = "http"
		protocols.SetUnencryptedHTTP2(true)
	} else {
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
	}
	transport := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	send := func(ctx context.Context) ([]string, string, error) {
		asked, err := http.NewRequestWithContext(ctx, r.method, target.String(), nil)
		if err != nil {
			return nil, "", err
		}
		asked.Header = r.headers.Clone()
		if host := asked.Header.Get("Host"); host != "" {
			asked.Host = host
		}
		got, err := client.Do(asked)
		if err != nil {
			return nil, "", err
		}
		defer got.Body.Close()
		body, err := io.ReadAll(got.Body)
		if err != nil {
			return nil, "", err
		}
		head := []string{"Url=" + r.target.String(), fmt.Sprintf("StatusCode=%d", got.StatusCode)}
		names := make([]string, 0, len(got.Header))
		for name := range got.Header {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			for _, value := range got.Header[name] {
				head = append(head, "ResponseHeader="+name+":"+value)
			}
		}
		return head, string(body), nil
	}
	return send, transport.CloseIdleConnections, nil
}

func (r request) grpc() (exchange, func(), error) {
	connection, err := grpc.NewClient("passthrough:///"+r.target.Host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, err
	}
	send := func(ctx context.Context) ([]string, string, error) {
		for name, values := range r.headers {
			for _, value := range values {
				ctx = metadata.AppendToOutgoingContext(ctx, name, value)
			}
		}
		var got wrapperspb.StringValue
		if err := connection.Invoke(ctx, grpcMethod, wrapperspb.String("echo"), &got); err != nil {
			return nil, "", err
		}
		return []string{"Url=" + r.target.String()}, got.GetValue(), nil
	}
	return send, func() { _ = connection.Close() }, nil
}

func (r request) tcp(ctx context.Context) ([]string, string, error) {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", r.target.Host)
	if err != nil {
		return nil, "", err
	}
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := connection.SetDeadline(deadline); err != nil {
			return nil, "", err
		}
	}
	if _, err := fmt.Fprintln(connection, "echo"); err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(connection)
	if err == nil && len(body) == 0 {
		err = errors.New("closed without an answer")
	}
	return []string{"Url=" + r.target.String()}, string(body), err
}
