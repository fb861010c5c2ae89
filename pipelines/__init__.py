"""The product: from publishers' responses to a published release. Each package is one layer; imports point one way."""
