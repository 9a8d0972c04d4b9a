#!/usr/bin/env bash
# Generated code must be what the generator makes of today's sources.
set -euo pipefail
cd "$(dirname "$0")/../.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r sdk/proto/parley "$copy/"
go run ./sdk/proto/internal/gen "$copy"
if ! diff -r sdk/proto/parley "$copy/parley"; then
  echo 'generated code is not current: run `make gen` and commit the result' >&2
  exit 1
fi
echo 'generated code is current'
