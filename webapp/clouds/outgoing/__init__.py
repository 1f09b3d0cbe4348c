"""The network access of all adapters, with limits for time, sizes, addresses and parallel calls.

Single sign-on also uses this package, but limits the number of its calls itself.

- `calls` has the limits of one call: its deadline, and how much data a cloud may send.
- `endpoints` decides which addresses this server may connect to, and opens the connections.
- `encryption` decides which connections must be encrypted.
- `connections` has the connections for pyVmomi, botocore and `requests`. Every read and every write
  ends by the deadline.
- `budgets` limits how many calls are in progress at the same time.
- `memory` returns the memory of large responses to the operating system.

The SDKs run in the thread of the caller, or in the threads that `calls.call_each_within` starts. No
such thread waits for a cloud after the deadline, because each wait on a socket has a timeout that
ends at the deadline.
"""
