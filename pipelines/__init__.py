"""The product: from a publisher's answer to a published release. Each package is one room; imports point one way."""
