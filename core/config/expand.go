package config

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// expand adds the line feeds without which HCL refuses several settings or blocks on one line, as in
//
//	local { identity = "east"  auth = "psk" }
//
// It returns the new text and the offsets of the added line feeds in it. Text that is no HCL comes out as some other text
// that is none: the parser finds the mistake.
func expand(src []byte) (text []byte, cuts []int) {
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
	var e expander
	for _, t := range tokens {
		e.next(t)
	}
	last := 0
	for _, at := range e.breaks {
		text = append(text, src[last:at]...)
		cuts = append(cuts, len(text))
		text = append(text, '\n')
		last = at
	}
	return append(text, src[last:]...), cuts
}

// expander follows the structure of the tokens. A body is a sequence of items: an identifier, and then either "=" and an
// expression, or labels and a body in braces.
type expander struct {
	breaks  []int  // offsets in the source before which a line feed goes
	open    []bool // open brackets; true: of a body
	item    bool   // inside an item
	expr    bool   // inside the expression of an item
	fresh   bool   // the last token opened a body, or ended a block: a line feed is due
	operand bool   // the last token can end an expression
	last    hclsyntax.TokenType
}

func (e *expander) inBody() bool { return len(e.open) == 0 || e.open[len(e.open)-1] }

func (e *expander) next(t hclsyntax.Token) {
	if t.Type == hclsyntax.TokenNewline || t.Type == hclsyntax.TokenComment && bytes.HasSuffix(t.Bytes, []byte{'\n'}) {
		if e.inBody() {
			e.item, e.expr, e.fresh = false, false, false
		}
		return
	}
	if e.inBody() && t.Type != hclsyntax.TokenEOF {
		e.separate(t)
	}
	e.brackets(t.Type)
	e.operand = endsOperand(t.Type)
	e.last = t.Type
}

// separate adds a line feed where one item ends and another token of the body follows.
func (e *expander) separate(t hclsyntax.Token) {
	ends := e.expr && e.operand && (t.Type == hclsyntax.TokenIdent || t.Type == hclsyntax.TokenCBrace)
	if e.fresh || ends {
		e.breaks = append(e.breaks, t.Range.Start.Byte)
		e.item, e.expr, e.fresh = false, false, false
	}
	switch {
	case t.Type == hclsyntax.TokenIdent && !e.item:
		e.item = true
	case t.Type == hclsyntax.TokenEqual && e.item:
		e.expr = true
	}
}

// brackets keeps track of what is open.
func (e *expander) brackets(t hclsyntax.TokenType) {
	switch t {
	case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
		body := t == hclsyntax.TokenOBrace && e.inBody() && !e.expr
		e.open = append(e.open, body)
		if body {
			e.item, e.fresh = false, true
		}
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
		if len(e.open) == 0 {
			return
		}
		body := e.inBody()
		e.open = e.open[:len(e.open)-1]
		if body {
			e.item, e.expr, e.fresh = false, false, true
		}
	}
}

// endsOperand reports whether an expression may end with a token. What follows it and is an identifier starts an item, since
// no operator of HCL is a word.
func endsOperand(t hclsyntax.TokenType) bool {
	switch t {
	case hclsyntax.TokenCQuote, hclsyntax.TokenNumberLit, hclsyntax.TokenIdent, hclsyntax.TokenCBrack, hclsyntax.TokenCBrace,
		hclsyntax.TokenCParen, hclsyntax.TokenStar:
		return true
	}
	return false
}
