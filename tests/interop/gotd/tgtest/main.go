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

	"github.com/gotd/td/exchange"
	"github.com/gotd/td/mt"
	"github.com/gotd/td/tgerr"
	"github.com/gotd/td/tgtest"
	"github.com/gotd/td/transport"

	"mtproto-kit/interop/demo"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	key := flag.String("key", "public.pem", "file that the public key is written to")
	obfuscated := flag.Bool("obfuscated", false, "expect the 64-byte header, and nothing else")
	flag.Parse()
	if err := run(*listen, *key, *obfuscated); err != nil {
		log.Fatal(err)
	}
}

func run(listen, keyFile string, obfuscated bool) error {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	if err := writePublicKey(keyFile, &private.PublicKey); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	if obfuscated {
		listener = transport.ObfuscatedListener(listener)
	}
	announcement := map[string]any{
		"event": "listening", "addresses": []string{address}, "public_key": keyFile,
	}
	if err := json.NewEncoder(os.Stdout).Encode(announcement); err != nil {
		return err
	}
	handler := tgtest.UnpackInvoke(tgtest.NewDispatcher().
		HandleFunc(demo.EchoID, echo).
		HandleFunc(mt.MsgsAckTypeID, ignore).
		Fallback(tgtest.HandlerFunc(methodInvalid)))
	server := tgtest.NewServer(exchange.PrivateKey{RSA: private}, handler, tgtest.ServerOptions{})
	return server.Serve(context.Background(), transport.Listen(listener))
}

func writePublicKey(file string, key *rsa.PublicKey) error {
	block := pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(key)}
	return os.WriteFile(file, pem.EncodeToMemory(&block), 0o644)
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
