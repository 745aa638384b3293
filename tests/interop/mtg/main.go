// Command mtg is a proxy that is not ours: mtg's, told that every data centre is one server here.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/9seconds/mtg/v2/antireplay"
	"github.com/9seconds/mtg/v2/essentials"
	"github.com/9seconds/mtg/v2/events"
	"github.com/9seconds/mtg/v2/ipblocklist"
	"github.com/9seconds/mtg/v2/logger"
	"github.com/9seconds/mtg/v2/mtglib"
	"github.com/rs/zerolog"
)

func main() {
	to := flag.String("to", "", "host:port of the server behind the proxy")
	secret := flag.String("secret", "", "secret of the proxy, which is of the ee kind")
	flag.Parse()
	if err := run(*to, *secret); err != nil {
		log.Fatal(err)
	}
}

func run(to, secret string) error {
	parsed, err := mtglib.ParseSecret(secret)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	proxy, err := mtglib.NewProxy(mtglib.ProxyOpts{
		Secret:          parsed,
		Network:         &oneServer{address: to},
		AntiReplayCache: antireplay.NewStableBloomFilter(1<<16, 0.001),
		IPBlocklist:     ipblocklist.NewNoop(),
		IPAllowlist:     everyone{ipblocklist.NewNoop()},
		EventStream:     events.NewNoopStream(),
		Logger:          logger.NewZeroLogger(zerolog.New(os.Stderr)),
		PreferIP:        "only-ipv4",
	})
	if err != nil {
		return err
	}
	announcement := map[string]any{
		"event": "listening", "addresses": []string{listener.Addr().String()},
	}
	if err := json.NewEncoder(os.Stdout).Encode(announcement); err != nil {
		return err
	}
	return proxy.Serve(listener)
}

// oneServer is a network in which every address is the server's.
type oneServer struct {
	net.Dialer
	address string
}

// Dial implements mtglib.Network.
func (n *oneServer) Dial(network, address string) (essentials.Conn, error) {
	return n.DialContext(context.Background(), network, address)
}

// DialContext implements mtglib.Network.
func (n *oneServer) DialContext(ctx context.Context, _, _ string) (essentials.Conn, error) {
	conn, err := n.Dialer.DialContext(ctx, "tcp", n.address)
	if err != nil {
		return nil, err
	}
	return essentials.WrapNetConn(conn), nil
}

// MakeHTTPClient implements mtglib.Network. Nothing here is fetched.
func (n *oneServer) MakeHTTPClient(
	func(ctx context.Context, network, address string) (essentials.Conn, error),
) *http.Client {
	return http.DefaultClient
}

// NativeDialer implements mtglib.Network.
func (n *oneServer) NativeDialer() *net.Dialer {
	return &n.Dialer
}

// everyone is a list that has every address.
type everyone struct{ mtglib.IPBlocklist }

// Contains implements mtglib.IPBlocklist.
func (everyone) Contains(net.IP) bool { return true }
