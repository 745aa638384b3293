// Command tgtest is a server that is not ours: gotd's test server, told to answer demo.echo.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/gotd/td/exchange"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/tgerr"
	"github.com/gotd/td/tgtest"
	"github.com/gotd/td/transport"

	"mtproto-kit/interop/demo"
)

var (
	listen     = flag.String("listen", "127.0.0.1:0", "address to listen on")
	directory  = flag.String("dir", ".", "where public.pem and cert.pem are written")
	obfuscated = flag.Bool("obfuscated", false, "expect the 64-byte header, and nothing else")
	secret     = flag.String("secret", "", "expect that header made with a proxy secret, in hex")
	web        = flag.Bool("web", false, "expect WebSockets")
	overTLS    = flag.Bool("tls", false, "expect them over TLS")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	keyFile := filepath.Join(*directory, "public.pem")
	der := x509.MarshalPKCS1PublicKey(&private.PublicKey)
	if err := writePEM(keyFile, "RSA PUBLIC KEY", der); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	announcement := map[string]any{
		"event":      "listening",
		"addresses":  []string{listener.Addr().String()},
		"public_key": keyFile,
	}
	if *overTLS {
		certFile := filepath.Join(*directory, "cert.pem")
		if listener, err = tlsListener(listener, certFile); err != nil {
			return err
		}
		announcement["tls"] = map[string]any{"certificate": certFile}
	}
	streams, err := streamsFrom(listener)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(announcement); err != nil {
		return err
	}
	handler := tgtest.UnpackInvoke(tgtest.NewDispatcher().
		HandleFunc(demo.EchoID, echo).
		HandleFunc(mt.MsgsAckTypeID, ignore).
		Fallback(tgtest.HandlerFunc(methodInvalid)))
	server := tgtest.NewServer(exchange.PrivateKey{RSA: private}, handler, tgtest.ServerOptions{})
	return server.Serve(context.Background(), transport.Listen(streams))
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644)
}

func ignore(*tgtest.Server, *tgtest.Request) error {
	return nil
}

func methodInvalid(*tgtest.Server, *tgtest.Request) error {
	return tgerr.New(400, "METHOD_INVALID")
}

func echo(server *tgtest.Server, request *tgtest.Request) error {
	if err := request.Buf.ConsumeID(demo.EchoID); err != nil {
		return err
	}
	text, err := request.Buf.String()
	if err != nil {
		return err
	}
	return server.SendResult(request, demo.Text(text))
}
