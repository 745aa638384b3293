package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gotd/td/bin"
	"github.com/gotd/td/crypto"
	"github.com/gotd/td/exchange"
	"github.com/gotd/td/mtproto"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/transport"

	"mtproto-kit/interop/demo"
)

// connection is one life of gotd's connection: it makes a key, or is given one and keeps to it.
type connection struct {
	*mtproto.Conn
	sessions chan mtproto.Session
	ticks    chan struct{}
}

// errDone ends a life from inside.
var errDone = errors.New("done")

func newConnection(public exchange.PublicKey, stored crypto.AuthKey) *connection {
	c := &connection{
		sessions: make(chan mtproto.Session, 16),
		ticks:    make(chan struct{}, ticks),
	}
	c.Conn = mtproto.New(dial, mtproto.Options{
		DC:         dc,
		PublicKeys: []exchange.PublicKey{public},
		Key:        stored,
		EnablePFS:  *pfs,
		Handler:    c,
	})
	return c
}

// live connects, runs action and disconnects.
func (c *connection) live(ctx context.Context, action func(context.Context) error) error {
	err := c.Run(ctx, func(ctx context.Context) error {
		if err := action(ctx); err != nil {
			return err
		}
		return errDone
	})
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// OnMessage implements mtproto.Handler.
func (c *connection) OnMessage(b *bin.Buffer) error {
	if id, err := b.PeekID(); err != nil || id != demo.TickID {
		return fmt.Errorf("pushed %x: %w", b.Buf, err)
	}
	c.ticks <- struct{}{}
	return nil
}

// OnSession implements mtproto.Handler.
func (c *connection) OnSession(session mtproto.Session) error {
	c.sessions <- session
	return nil
}

// awaitKey returns the permanent key, once the server has told of the new session.
func (c *connection) awaitKey(ctx context.Context) (crypto.AuthKey, error) {
	select {
	case session := <-c.sessions:
		if *pfs {
			return session.PermKey, nil
		}
		return session.Key, nil
	case <-ctx.Done():
		return crypto.AuthKey{}, fmt.Errorf("no new_session_created: %w", ctx.Err())
	}
}

func dial(ctx context.Context) (transport.Conn, error) {
	resolver, list, err := route()
	if err != nil {
		return nil, err
	}
	return resolver.Primary(ctx, dc, list)
}

// route is how gotd finds a way to the data centre, and what it is told of it.
func route() (dcs.Resolver, dcs.List, error) {
	switch *wire {
	case "ws", "wss":
		url := fmt.Sprintf("%s://%s/apiws", *wire, *address)
		list := dcs.List{Domains: map[int]string{dc: url}}
		return dcs.Websocket(dcs.WebsocketOptions{}), list, nil
	case "mtproxy":
		secret, err := hex.DecodeString(*secret)
		if err != nil {
			return nil, dcs.List{}, err
		}
		resolver, err := dcs.MTProxy(*address, secret, dcs.MTProxyOptions{})
		return resolver, dcs.List{}, err
	default:
		return plainRoute()
	}
}

// plainRoute is over TCP, with what is in the option of a data centre.
func plainRoute() (resolver dcs.Resolver, list dcs.List, err error) {
	host, port, err := net.SplitHostPort(*address)
	if err != nil {
		return nil, list, err
	}
	option := tg.DCOption{ID: dc, IPAddress: host}
	if option.Port, err = strconv.Atoi(port); err != nil {
		return nil, list, err
	}
	framing, obfuscated := strings.CutPrefix(*wire, "obfuscated-")
	framing, behindSecret := strings.CutPrefix(framing, "secret-")
	if behindSecret {
		option.TCPObfuscatedOnly = true
		if option.Secret, err = hex.DecodeString(*secret); err != nil {
			return nil, list, err
		}
	}
	protocol, ok := protocols[framing]
	if !ok {
		return nil, list, fmt.Errorf("unknown transport %q", *wire)
	}
	resolver = dcs.Plain(dcs.PlainOptions{Protocol: protocol, Obfuscated: obfuscated})
	return resolver, dcs.List{Options: []tg.DCOption{option}}, nil
}

var protocols = map[string]dcs.Protocol{
	"abridged":     transport.Abridged,
	"full":         transport.Full,
	"intermediate": transport.Intermediate,
	"padded":       transport.PaddedIntermediate,
}

func readPublicKey(file string) (exchange.PublicKey, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return exchange.PublicKey{}, err
	}
	keys, err := crypto.ParseRSAPublicKeys(pem)
	if err != nil {
		return exchange.PublicKey{}, err
	}
	if len(keys) != 1 {
		return exchange.PublicKey{}, fmt.Errorf("%d keys in %s", len(keys), file)
	}
	return exchange.PublicKey{RSA: keys[0]}, nil
}

func elapsedMs(started time.Time) float64 {
	return float64(time.Since(started)) / float64(time.Millisecond)
}
