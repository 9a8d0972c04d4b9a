package serve

import (
	"context"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/internal/codec"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	sav1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/sa/v1"
	"github.com/parley-ike/parley/sdk/sa"
)

func saHandler(p sa.Plugin) handler {
	return func(ctx context.Context, _ auth.Host, op basev1.Op, body []byte) ([]byte, error) {
		switch op {
		case basev1.Op_OP_SA_PROBE:
			return saProbe(ctx, p)
		case basev1.Op_OP_SA_ALLOCATE_SPI:
			return saAllocate(ctx, p, body)
		case basev1.Op_OP_SA_FREE_SPI:
			return saFree(ctx, p, body)
		case basev1.Op_OP_SA_UPDATE_CHILD:
			return saUpdate(ctx, p, body)
		case basev1.Op_OP_SA_SET_TRAPS:
			return saTraps(ctx, p, body)
		case basev1.Op_OP_SA_INSTALL_CHILD:
			return saInstall(ctx, p, body)
		case basev1.Op_OP_SA_REMOVE_CHILD:
			return saRemove(ctx, p, body)
		case basev1.Op_OP_SA_USAGE:
			return saUsage(ctx, p, body)
		case basev1.Op_OP_SA_LIST:
			return saList(ctx, p, body)
		}
		return nil, unknownOp("sa", op)
	}
}

func saProbe(ctx context.Context, p sa.Plugin) ([]byte, error) {
	capabilities, err := p.Probe(ctx)
	if err != nil {
		return nil, err
	}
	return encode(codec.FromCapabilities(capabilities))
}

func saAllocate(ctx context.Context, p sa.Plugin, body []byte) ([]byte, error) {
	r, err := decode[sav1.AllocateSPIRequest](body)
	if err != nil {
		return nil, err
	}
	local, err := codec.ToAddr("local", r.GetLocal())
	if err != nil {
		return nil, err
	}
	remote, err := codec.ToAddr("remote", r.GetRemote())
	if err != nil {
		return nil, err
	}
	spi, err := p.AllocateSPI(ctx, local, remote)
	if err != nil {
		return nil, err
	}
	return encode(&sav1.AllocateSPIResponse{Spi: spi})
}

func saFree(ctx context.Context, p sa.Plugin, body []byte) ([]byte, error) {
	r, err := decode[sav1.FreeSPIRequest](body)
	if err != nil {
		return nil, err
	}
	local, err := codec.ToAddr("local", r.GetLocal())
	if err != nil {
		return nil, err
	}
	remote, err := codec.ToAddr("remote", r.GetRemote())
	if err != nil {
		return nil, err
	}
	if err := p.FreeSPI(ctx, local, remote, r.GetSpi()); err != nil {
		return nil, err
	}
	return encode(&sav1.FreeSPIResponse{})
}

func saUpdate(ctx context.Context, p sa.Plugin, body []byte) ([]byte, error) {
	r, err := decode[sav1.UpdateChildRequest](body)
	if err != nil {
		return nil, err
	}
	child, err := codec.ToChild(r.GetChild())
	if err != nil {
		return nil, err
	}
	if err := p.Update(ctx, child); err != nil {
		return nil, err
	}
	return encode(&sav1.UpdateChildResponse{})
}

func saTraps(ctx context.Context, p sa.Plugin, body []byte) ([]byte, error) {
	trapper, ok := p.(sa.Trapper)
	if !ok {
		return nil, fmt.Errorf("%w: this backend has no traps", sdk.ErrUnsupported)
	}
	r, err := decode[sav1.SetTrapsRequest](body)
	if err != nil {
		return nil, err
	}
	owner, traps, err := codec.ToTraps(r)
	if err != nil {
		return nil, err
	}
	if err := trapper.SetTraps(ctx, owner, traps); err != nil {
		return nil, err
	}
	return encode(&sav1.SetTrapsResponse{})
}

func saInstall(ctx context.Context, p sa.Plugin, body []byte) ([]byte, error) {
	r, err := decode[sav1.InstallChildRequest](body)
	if err != nil {
		return nil, err
	}
	child, err := codec.ToChild(r.GetChild())
	if err != nil {
		return nil, err
	}
	if err := p.Install(ctx, child); err != nil {
		return nil, err
	}
	return encode(&sav1.InstallChildResponse{})
}

func saRemove(ctx context.Context, p sa.Plugin, body []byte) ([]byte, error) {
	r, err := decode[sav1.RemoveChildRequest](body)
	if err != nil {
		return nil, err
	}
	child, err := codec.ToChild(r.GetChild())
	if err != nil {
		return nil, err
	}
	usage, err := p.Remove(ctx, child)
	if err != nil {
		return nil, err
	}
	return encode(&sav1.RemoveChildResponse{Usage: codec.FromUsage(usage)})
}

func saUsage(ctx context.Context, p sa.Plugin, body []byte) ([]byte, error) {
	r, err := decode[sav1.UsageRequest](body)
	if err != nil {
		return nil, err
	}
	child, err := codec.ToChild(r.GetChild())
	if err != nil {
		return nil, err
	}
	usage, err := p.Usage(ctx, child)
	if err != nil {
		return nil, err
	}
	return encode(&sav1.UsageResponse{Usage: codec.FromUsage(usage)})
}

func saList(ctx context.Context, p sa.Plugin, body []byte) ([]byte, error) {
	r, err := decode[sav1.ListRequest](body)
	if err != nil {
		return nil, err
	}
	children, err := p.List(ctx, r.GetOwner())
	if err != nil {
		return nil, err
	}
	out := &sav1.ListResponse{}
	for _, c := range children {
		c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut = nil, nil, nil, nil // nobody asks for keys back
		out.Children = append(out.Children, codec.FromChild(c))
	}
	return encode(out)
}
