// Package demo knows as much of schema/demo.tl as the programs beside it need.
package demo

import "github.com/gotd/td/bin"

// Constructor ids.
const (
	EchoID      = 0xa5526c53
	textID      = 0xe84244ab
	SubscribeID = 0xa88fad9c
	TickID      = 0x225122f0
	unknownID   = 0xbad0c0de
)

// Raw is one TL object as bytes, sent and received unread.
type Raw []byte

// Encode implements bin.Encoder.
func (r Raw) Encode(b *bin.Buffer) error {
	b.Put(r)
	return nil
}

// Decode implements bin.Decoder.
func (r *Raw) Decode(b *bin.Buffer) error {
	*r = append(Raw(nil), b.Buf...)
	return nil
}

// Echo is a call that answers Text.
func Echo(text string) Raw {
	var b bin.Buffer
	b.PutID(EchoID)
	b.PutString(text)
	return b.Buf
}

// Text is the answer to Echo.
func Text(text string) Raw {
	var b bin.Buffer
	b.PutID(textID)
	b.PutString(text)
	return b.Buf
}

// Subscribe is a call for that many pushes, one every so many milliseconds.
func Subscribe(count, intervalMs int) Raw {
	var b bin.Buffer
	b.PutID(SubscribeID)
	b.PutInt(count)
	b.PutInt(intervalMs)
	return b.Buf
}

// Unknown is a call of a method in no schema.
func Unknown() Raw {
	var b bin.Buffer
	b.PutID(unknownID)
	return b.Buf
}
