/** Line icons of 24 units; decoration only, so a screen reader passes over them. */

import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export const Check = () => (
  <Icon>
    <path d="M4.5 12.5l5 5L19.5 7" />
  </Icon>
);

export const Circle = () => (
  <Icon>
    <circle cx="12" cy="12" r="7.5" />
  </Icon>
);

export const Cross = () => (
  <Icon>
    <path d="M6 6l12 12M18 6L6 18" />
  </Icon>
);

export const Microphone = () => (
  <Icon>
    <rect x="9" y="3" width="6" height="11" rx="3" />
    <path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3" />
  </Icon>
);

export const MicrophoneOff = () => (
  <Icon>
    <path d="M9 9v2a3 3 0 0 0 4.5 2.6M15 11V6a3 3 0 0 0-5.6-1.5M5.5 11.5a6.5 6.5 0 0 0 10 5.5M18.5 11.500c0 1-.2 1.8-.6 2.6M12 18v3M4 4l16 16" />
  </Icon>
);

export const Sound = () => (
  <Icon>
    <path d="M4 10v4M8 7v10M12 4v16M16 8v8M20 10.500v3" />
  </Icon>
);

export const Pause = () => (
  <Icon>
    <path d="M9 6v12M15 6v12" />
  </Icon>
);

export const Play = () => (
  <Icon>
    <path d="M8 5.500v13l10.5-6.500z" />
  </Icon>
);

export const Stop = () => (
  <Icon>
    <rect x="6.5" y="6.5" width="11" height="11" rx="1.5" />
  </Icon>
);

export const Alert = () => (
  <Icon>
    <path d="M12 4l9 16H3zM12 10v4.500M12 17.200v.1" />
  </Icon>
);
