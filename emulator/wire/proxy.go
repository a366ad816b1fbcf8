package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// A Proxy is a gRPC proxy on loopback, so that a Meter sees what another process
// does: the process is given the proxy in place of the emulator. It carries every
// method of the services that this program knows, streams too, and
// [MaxConcurrentCalls] at once on one connection. It costs time: do not measure
// speed through it. REST, which the emulators answer on the same port, bypasses the
// options.
type Proxy struct {
	listener *splitter
	server   *grpc.Server
	rest     *http.Server
	conn     *grpc.ClientConn
}

// MaxConcurrentCalls is how many calls, open streams among them, Google's front
// ends carry at once on one connection: "100 streams per connection limit, which is
// a GFE limit that applies to all clients" (googleapis/nodejs-pubsub#1276). Clients
// hold further ones back.
const MaxConcurrentCalls = 100

// NewProxy starts a proxy to a server (host:port). The options are those of a
// Meter, or of package rules. The caller closes it.
func NewProxy(target string, options ...grpc.DialOption) (*Proxy, error) {
	options = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	}, options...)
	conn, err := grpc.NewClient("passthrough:///"+target, options...)
	if err != nil {
		return nil, fmt.Errorf("proxy to %s: %w", target, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("proxy to %s: %w", target, err), conn.Close())
	}
	p := &Proxy{listener: split(listener), rest: newREST(target), conn: conn}
	p.server = grpc.NewServer(grpc.UnknownServiceHandler(p.carry), grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxConcurrentStreams(MaxConcurrentCalls))
	go func() { _ = p.server.Serve(p.listener.grpc) }() // these end with Close
	go func() { _ = p.rest.Serve(p.listener.rest) }()
	return p, nil
}

// Addr is where clients connect: host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close breaks all calls off and returns when they have ended.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.server.Stop()
	return errors.Join(err, p.rest.Close(), p.conn.Close())
}

// carry carries one call. It decodes messages, since a Meter counts messages and
// not bytes.
func (p *Proxy) carry(_ any, client grpc.ServerStream) error {
	name, _ := grpc.MethodFromServerStream(client)
	method, err := methodOf(name)
	if err != nil {
		return status.Error(codes.Unimplemented, err.Error())
	}
	headers, _ := metadata.FromIncomingContext(client.Context())
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(client.Context(), headers))
	defer cancel()
	if !method.IsStreamingClient() && !method.IsStreamingServer() {
		return p.carryOne(ctx, name, method, client)
	}
	desc := &grpc.StreamDesc{ClientStreams: method.IsStreamingClient(), ServerStreams: method.IsStreamingServer()}
	server, err := p.conn.NewStream(ctx, desc, name)
	if err != nil {
		return err
	}
	go func() {
		if err := copyMessages(method.Input(), client.RecvMsg, server.SendMsg); err != nil {
			cancel() // else the answer says why
			return
		}
		_ = server.CloseSend()
	}()
	if answered, err := server.Header(); err == nil {
		_ = client.SendHeader(answered)
	}
	err = copyMessages(method.Output(), server.RecvMsg, client.SendMsg)
	client.SetTrailer(server.Trailer())
	return err
}

// carryOne carries a call with one request and one answer, which interceptors see
// as such.
func (p *Proxy) carryOne(ctx context.Context, name string, method protoreflect.MethodDescriptor, client grpc.ServerStream) error {
	request, err := newMessage(method.Input())
	if err != nil {
		return err
	}
	answer, err := newMessage(method.Output())
	if err != nil {
		return err
	}
	if err := client.RecvMsg(request); err != nil {
		return err
	}
	var header, trailer metadata.MD
	err = p.conn.Invoke(ctx, name, request, answer, grpc.Header(&header), grpc.Trailer(&trailer))
	_ = client.SetHeader(header)
	client.SetTrailer(trailer)
	if err != nil {
		return err
	}
	return client.SendMsg(answer)
}

// copyMessages returns nil at the end of the stream that it reads.
func copyMessages(of protoreflect.MessageDescriptor, receive, send func(any) error) error {
	for {
		message, err := newMessage(of)
		if err != nil {
			return err
		}
		if err := receive(message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := send(message); err != nil {
			return err
		}
	}
}

func newMessage(of protoreflect.MessageDescriptor) (proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(of.FullName())
	if err != nil {
		return nil, status.Error(codes.Unimplemented, err.Error())
	}
	return kind.New().Interface(), nil
}

// methodOf finds "/package.Service/Method".
func methodOf(name string) (protoreflect.MethodDescriptor, error) {
	service, method, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, fmt.Errorf("proxy: %s: %w", name, err)
	}
	s, ok := d.(protoreflect.ServiceDescriptor)
	if !ok || s.Methods().ByName(protoreflect.Name(method)) == nil {
		return nil, fmt.Errorf("proxy: no method %s", name)
	}
	return s.Methods().ByName(protoreflect.Name(method)), nil
}
