/** What the browser says of its network and of the page, as two signs: try at once, and another network. */

export interface NetworkListener {
  /** The network or the user is back: what waits need not wait any longer. */
  onWake: () => void;
  /** The phone has another network: what works may be about to stop. */
  onChange: () => void;
}

/** Chrome's Network Information API; other browsers have `online` and `offline` only. */
function networkInformation(): (EventTarget & { type?: string }) | undefined {
  return (navigator as { connection?: EventTarget & { type?: string } }).connection;
}

export class NetworkSigns {
  private wasOffline = false;
  private networkType = networkInformation()?.type;

  constructor(private readonly listener: NetworkListener) {}

  start(): void {
    addEventListener("online", this.online);
    addEventListener("offline", this.offline);
    networkInformation()?.addEventListener("change", this.changed);
    document.addEventListener("visibilitychange", this.seen);
  }

  stop(): void {
    removeEventListener("online", this.online);
    removeEventListener("offline", this.offline);
    networkInformation()?.removeEventListener("change", this.changed);
    document.removeEventListener("visibilitychange", this.seen);
  }

  private readonly seen = (): void => {
    if (document.visibilityState !== "hidden") this.listener.onWake();
  };

  private readonly offline = (): void => {
    this.wasOffline = true;
  };

  private readonly online = (): void => {
    // A browser says `online` after `offline` only; a page that was loaded without a network has heard neither.
    if (this.wasOffline) this.listener.onChange();
    this.wasOffline = false;
    this.seen();
  };

  private readonly changed = (): void => {
    // It changes with every estimate of the bandwidth as well; only another kind of network is another path.
    const type = networkInformation()?.type;
    if (type === this.networkType) return;
    this.networkType = type;
    if (type !== "none") this.listener.onChange();
  };
}
