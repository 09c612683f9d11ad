// Command pki makes the certificates, keys and kubeconfigs of a test cluster in the working directory:
//
//	pki API-SERVER-URL NAME,ADDRESS,... NODE=ADDRESS ...
//
// The second argument lists what the API server is also called. Every key is ECDSA P-256, every certificate lasts a week.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const lifetime = 7 * 24 * time.Hour

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "pki:", err)
		os.Exit(1)
	}
}

func save(name, block string, der []byte) {
	check(os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der}), 0o600))
}

func newKey(name string) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)
	save(name+".key", "PRIVATE KEY", der)
	return key
}

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func template(subject pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	check(err)
	now := time.Now()
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               subject,
		NotBefore:             now.Add(-10 * time.Minute),
		NotAfter:              now.Add(lifetime),
		BasicConstraintsValid: true,
	}
}

func newAuthority(name string) authority {
	t := template(pkix.Name{CommonName: name})
	t.IsCA = true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key := newKey(name)
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	check(err)
	save(name+".crt", "CERTIFICATE", der)
	certificate, err := x509.ParseCertificate(der)
	check(err)
	return authority{certificate, key}
}

// issue makes FILE.key and FILE.crt for a Kubernetes user, good as a client and, for the names given, as a server.
func (a authority) issue(file, user, group string, names ...string) {
	subject := pkix.Name{CommonName: user}
	if group != "" {
		subject.Organization = []string{group}
	}
	t := template(subject)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, name := range names {
		if address := net.ParseIP(name); address != nil {
			t.IPAddresses = append(t.IPAddresses, address)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	if len(names) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	key := newKey(file)
	der, err := x509.CreateCertificate(rand.Reader, t, a.certificate, key.Public(), a.key)
	check(err)
	save(file+".crt", "CERTIFICATE", der)
}

func kubeconfig(file, server string) {
	folder, err := os.Getwd()
	check(err)
	at := func(name string) string { return fmt.Sprintf("%q", filepath.Join(folder, name)) }
	text := strings.Join([]string{
		"apiVersion: v1",
		"kind: Config",
		"current-context: cluster",
		"contexts:",
		"- name: cluster",
		"  context: {cluster: cluster, user: user}",
		"clusters:",
		"- name: cluster",
		"  cluster: {server: " + server + ", certificate-authority: " + at("ca.crt") + "}",
		"users:",
		"- name: user",
		"  user: {client-certificate: " + at(file+".crt") + ", client-key: " + at(file+".key") + "}",
		"",
	}, "\n")
	check(os.WriteFile(file+".kubeconfig", []byte(text), 0o600))
}

func main() {
	if len(os.Args) < 4 {
		check(fmt.Errorf("usage: pki API-SERVER-URL NAME,ADDRESS,... NODE=ADDRESS ..."))
	}
	server, names, nodes := os.Args[1], strings.Split(os.Args[2], ","), os.Args[3:]
	ca := newAuthority("ca")
	ca.issue("apiserver", "kube-apiserver", "", names...)
	ca.issue("apiserver-kubelet", "kube-apiserver-kubelet", "system:masters")

	// The API server takes the key that checks tokens as a public key only.
	public, err := x509.MarshalPKIXPublicKey(newKey("tokens").Public())
	check(err)
	save("tokens.pub", "PUBLIC KEY", public)

	users := map[string][2]string{
		"admin":                   {"kubernetes-admin", "system:masters"},
		"kube-controller-manager": {"system:kube-controller-manager", ""},
		"kube-scheduler":          {"system:kube-scheduler", ""},
		"kube-proxy":              {"system:kube-proxy", ""},
		"coredns":                 {"system:coredns", ""},
	}
	for file, user := range users {
		ca.issue(file, user[0], user[1])
		kubeconfig(file, server)
	}
	for _, node := range nodes {
		name, address, _ := strings.Cut(node, "=")
		ca.issue("kubelet-"+name, "system:node:"+name, "system:nodes", name, address)
		kubeconfig("kubelet-"+name, server)
	}
}
