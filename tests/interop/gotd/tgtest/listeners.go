package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/gotd/td/mtproxy/obfuscated2"
	"github.com/gotd/td/proto/codec"
	"github.com/gotd/td/transport"
)

// streamsFrom takes off what the flags say is around the streams.
func streamsFrom(listener net.Listener) (net.Listener, error) {
	switch {
	case *web:
		streams, upgrade := transport.WebsocketListener(listener.Addr())
		go func() { log.Fatal(http.Serve(listener, upgrade)) }()
		return streams, nil
	case *secret != "":
		key, err := hex.DecodeString(*secret)
		return secretListener{listener, key}, err
	case *obfuscated:
		return transport.ObfuscatedListener(listener), nil
	default:
		return listener, nil
	}
}

// secretListener is transport.ObfuscatedListener, which has no secret.
type secretListener struct {
	net.Listener
	key []byte
}

// Accept implements net.Listener.
func (l secretListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	stream, header, err := obfuscated2.Accept(conn, l.key)
	if err != nil {
		return nil, err
	}
	tag := header.Protocol[:]
	if tag[0] == codec.AbridgedClientStart[0] {
		tag = tag[:1]
	}
	return secretConn{conn, io.MultiReader(bytes.NewReader(tag), stream), stream}, nil
}

type secretConn struct {
	net.Conn
	reader io.Reader
	writer io.Writer
}

// Read implements net.Conn.
func (c secretConn) Read(b []byte) (int, error) { return c.reader.Read(b) }

// Write implements net.Conn.
func (c secretConn) Write(b []byte) (int, error) { return c.writer.Write(b) }

// tlsListener shows a certificate for its address that it makes and writes to certFile.
func tlsListener(listener net.Listener, certFile string) (net.Listener, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{listener.Addr().(*net.TCPAddr).IP},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if err := writePEM(certFile, "CERTIFICATE", der); err != nil {
		return nil, err
	}
	shown := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{shown}}), nil
}
