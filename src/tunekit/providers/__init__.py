"""The contract that every provider keeps, and the providers that come with tunekit."""
