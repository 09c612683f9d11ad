package main

import (
	"github.com/coredns/coredns/coremain"

	// The plug-ins that the Corefile of a test cluster may name.
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

func coredns() int {
	coremain.Run()
	return 0
}
