namespace DiffusionGemma;

/// <summary>Frees what several users share when it is closed and the last of them has left. Safe for any number of threads.</summary>
/// <param name="name">Name of the shared object's type, for errors.</param>
/// <param name="free">Called once, by the closing or the last leaving thread.</param>
internal sealed class UseCount(string name, Action free)
{
    private readonly Lock _gate = new();
    private int _users;
    private bool _isClosed;

    /// <summary>True after <see cref="Close"/>, also while users are left.</summary>
    public bool IsClosed
    {
        get
        {
            lock (_gate) return _isClosed;
        }
    }

    /// <summary>Adds a user, until the result is disposed.</summary>
    /// <exception cref="ObjectDisposedException">It is closed.</exception>
    public IDisposable Enter()
    {
        lock (_gate)
        {
            if (_isClosed) throw new ObjectDisposedException(name);
            _users++;
        }
        return new User(this);
    }

    /// <summary>Lets no more users in.</summary>
    public void Close()
    {
        lock (_gate)
        {
            if (_isClosed) return;
            _isClosed = true;
            if (_users > 0) return;
        }
        free();
    }

    private void Leave()
    {
        lock (_gate)
        {
            if (--_users > 0 || !_isClosed) return;
        }
        free();
    }

    private sealed class User(UseCount count) : IDisposable
    {
        private UseCount? _count = count;

        public void Dispose() => Interlocked.Exchange(ref _count, null)?.Leave();
    }
}
