import { createRoot } from 'react-dom/client';
import { App } from './app.js';
import './styles/page.css';
import './styles/chat.css';
import './styles/panel.css';

createRoot(document.getElementById('app')!).render(<App />);
