// Command coredns is CoreDNS with the plugins that a kubeadm cluster's Corefile names, and no others.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
)

// The order is the order in which a query passes through the plugins; upstream's plugin.cfg sets the same.
var plugins = []string{
	"reload", "ready", "health", "errors", "prometheus",
	"cache", "loadbalance", "kubernetes", "loop", "forward",
}

func main() {
	dnsserver.Directives = plugins
	coremain.Run()
}
