"""Policy: preflight, submit-once, waiting, retrying. Knows the contract, never an SDK.

Whatever waits or retries is written as a *plan*: a generator that yields what to do next (`Call`,
`Sleep`, `Emit`) and does nothing itself. The synchronous and the asynchronous API run the same
plans, and tests run them on a virtual clock.
"""
