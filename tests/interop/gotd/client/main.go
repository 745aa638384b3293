// Command client drives gotd's MTProto connection. What a client program is asked and answers:
// ../../README.md.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/gotd/td/crypto"
	"github.com/gotd/td/exchange"
	"github.com/gotd/td/tgerr"
	"golang.org/x/sync/errgroup"

	"mtproto-kit/interop/demo"
)

const (
	dc    = 2
	batch = 100
	ticks = 3
)

var (
	address   = flag.String("address", "", "host:port of the server")
	keyFile   = flag.String("key", "", "the server's public key, PKCS#1 PEM")
	wire      = flag.String("transport", "", "ws, wss, mtproxy, or [obfuscated-|secret-]FRAMING")
	secret    = flag.String("secret", "", "a proxy secret, in hex")
	pfs       = flag.Bool("pfs", false, "bind a temporary key")
	callCount = flag.Int("calls", 1000, "how many sequential calls")
)

var longText = strings.Repeat("mtproto ", 8192)

type report struct {
	ExchangeMs float64 `json:"exchange_ms"`
	PingMs     float64 `json:"ping_ms"`
	CallsMs    float64 `json:"calls_ms"`
	Pushes     int     `json:"pushes"`
}

func main() {
	flag.Parse()
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	public, err := readPublicKey(*keyFile)
	if err != nil {
		return err
	}
	result, key, err := makeKeyAndTalk(ctx, public)
	if err != nil {
		return err
	}
	fmt.Println("restart")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	if err := goOn(ctx, public, key); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func makeKeyAndTalk(
	ctx context.Context, public exchange.PublicKey,
) (result report, key crypto.AuthKey, err error) {
	c := newConnection(public, crypto.AuthKey{})
	started := time.Now()
	err = c.live(ctx, func(ctx context.Context) error {
		result.ExchangeMs = elapsedMs(started)
		if err := c.talk(ctx, &result); err != nil {
			return err
		}
		key, err = c.awaitKey(ctx)
		return err
	})
	return result, key, err
}

// goOn uses the stored key; gotd never makes another in its place.
func goOn(ctx context.Context, public exchange.PublicKey, stored crypto.AuthKey) error {
	c := newConnection(public, stored)
	return c.live(ctx, func(ctx context.Context) error {
		if err := c.echo(ctx, "a new connection with the stored key"); err != nil {
			return err
		}
		key, err := c.awaitKey(ctx)
		if err == nil && key != stored {
			err = fmt.Errorf("key %x came in the place of %x", key.ID, stored.ID)
		}
		return err
	})
}

// talk does everything that a first connection has to show.
func (c *connection) talk(ctx context.Context, result *report) error {
	started := time.Now()
	if err := c.Ping(ctx); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	result.PingMs = elapsedMs(started)

	var answer demo.Raw
	err := c.Invoke(ctx, demo.Unknown(), &answer)
	if refusal, ok := tgerr.AsType(err, "METHOD_INVALID"); !ok || refusal.Code != 400 {
		return fmt.Errorf("an unknown method was answered by %x, %v", answer, err)
	}

	started = time.Now()
	for number := range *callCount {
		if err := c.echo(ctx, fmt.Sprint("call ", number)); err != nil {
			return err
		}
	}
	result.CallsMs = elapsedMs(started)
	if err := c.echo(ctx, longText); err != nil {
		return err
	}
	together, groupCtx := errgroup.WithContext(ctx)
	for number := range batch {
		together.Go(func() error { return c.echo(groupCtx, fmt.Sprint("together ", number)) })
	}
	if err := together.Wait(); err != nil {
		return err
	}

	if err := c.Invoke(ctx, demo.Subscribe(ticks, 10), &answer); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	for result.Pushes < ticks {
		select {
		case <-c.ticks:
			result.Pushes++
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *connection) echo(ctx context.Context, text string) error {
	var answer demo.Raw
	if err := c.Invoke(ctx, demo.Echo(text), &answer); err != nil {
		return fmt.Errorf("echo: %w", err)
	}
	if !bytes.Equal(answer, demo.Text(text)) {
		return fmt.Errorf("%.40q came back as %.40x", text, answer)
	}
	return nil
}
