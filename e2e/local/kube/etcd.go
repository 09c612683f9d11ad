package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcd serves one member over plain HTTP on loopback: etcd DATA-DIR. Nothing is synced to the disk, since the data
// lives no longer than its test cluster.
func etcd() int {
	flag.Parse()
	config := embed.NewConfig()
	config.Dir = flag.Arg(0)
	config.UnsafeNoFsync = true
	config.LogLevel = "warn"
	clients := []url.URL{{Scheme: "http", Host: "127.0.0.1:2379"}}
	peers := []url.URL{{Scheme: "http", Host: "127.0.0.1:2380"}}
	config.ListenClientUrls, config.AdvertiseClientUrls = clients, clients
	config.ListenPeerUrls, config.AdvertisePeerUrls = peers, peers
	config.InitialCluster = config.InitialClusterFromName(config.Name)

	server, err := embed.StartEtcd(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
	defer server.Close()
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, syscall.SIGINT, syscall.SIGTERM)
	select {
	case <-ending:
		return 0
	case err := <-server.Err():
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	case <-server.Server.StopNotify():
		return 1
	}
}
