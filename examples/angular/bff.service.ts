import { computed, DestroyRef, inject, Injectable, signal } from "@angular/core";
import { createBffClient, type SessionEvent, type SessionEventOf } from "bff-client";

/**
 * Who is logged in, as signals:
 *
 *     private readonly bff = inject(BffService);
 *     readonly name = computed(() => this.bff.user()?.name);
 */
@Injectable({ providedIn: "root" })
export class BffService {
  private readonly client = createBffClient();
  private readonly current = signal(this.client.state);

  readonly state = this.current.asReadonly();
  readonly user = computed(() => this.state().session?.user ?? null);
  readonly isLoading = computed(() => this.state().status === "loading");
  readonly login = this.client.login;
  readonly logout = this.client.logout;
  readonly fetch = this.client.fetch;

  constructor() {
    const destroyed = inject(DestroyRef);
    destroyed.onDestroy(this.client.subscribe(() => this.current.set(this.client.state)));
    destroyed.onDestroy(this.client.start());
  }

  /** Postpones the end of the session, which a person who has done nothing would reach. */
  stayLoggedIn() {
    return this.client.session({ touch: true });
  }

  /** Calls `listener` with each event of a type, until the returned function is called. */
  on<Type extends SessionEvent["type"]>(type: Type, listener: (event: SessionEventOf<Type>) => void) {
    return this.client.on(type, listener);
  }
}
