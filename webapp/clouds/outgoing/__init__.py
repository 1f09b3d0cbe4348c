"""The only way to the network for all adapters. It limits time, sizes, addresses and calls at once.

- `calls`: the limits of one call: its deadline, and how many bytes a cloud may send.
- `endpoints`: to which addresses this server may connect, and the connection itself.
- `connections`: the connections for pyVmomi, botocore and `requests`. Every read and every write
  ends at the deadline.
- `budgets`: how many calls run at once.

The SDKs run in the thread of the caller. No thread waits for a cloud after the deadline, because
each wait on a socket has a timeout that ends at the deadline.
"""
