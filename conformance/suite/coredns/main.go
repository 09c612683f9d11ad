// Command coredns stands in for the CoreDNS of the suite's base manifests, whose plug-ins "forward" and "whoami" would bring half
// of CoreDNS into this module: foo.bar.com is answered as "whoami" does, with the asker's address; all else is refused.
package main

import (
	"log"
	"net"

	"github.com/miekg/dns"
)

const zone = "foo.bar.com."

func whoami(w dns.ResponseWriter, asked *dns.Msg) {
	said := new(dns.Msg).SetReply(asked)
	said.Authoritative = true
	host, _, err := net.SplitHostPort(w.RemoteAddr().String())
	if ip := net.ParseIP(host).To4(); err == nil && ip != nil {
		header := dns.RR_Header{Name: asked.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}
		said.Extra = append(said.Extra, &dns.A{Hdr: header, A: ip})
	}
	if err := w.WriteMsg(said); err != nil {
		log.Print(err)
	}
}

func main() {
	handler := dns.NewServeMux()
	handler.HandleFunc(zone, whoami)
	ended := make(chan error)
	for _, network := range []string{"udp", "tcp"} {
		go func() { ended <- (&dns.Server{Addr: ":53", Net: network, Handler: handler}).ListenAndServe() }()
	}
	log.Fatal(<-ended)
}
